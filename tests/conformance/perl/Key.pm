package Key;

# docs/protocol.md, "Keys": Ed25519 and ES256, 64 bytes R || S, low-S. The arithmetic is openssl's.

use v5.36;
use utf8;
use Base64;
use Digest::SHA 'sha256_hex';
use File::Temp ();
use Math::BigInt ();
use POSIX ();
use Refused;

use constant {
    ED25519 => pack('H*', '302a300506032b6570032100'),                                        # RFC 8410
    P256    => pack('H*', '3059301306072a8648ce3d020106082a8648ce3d03010703420004'),          # RFC 5480, uncompressed point
    ORDER   => 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',            # SEC 2, secp256r1
    HALF    => '7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8',
};

# y of the eight points of small order, little-endian; nobody's key.
my %SMALL = map { $_ => 1 } (
    '00' x 32, '01' . '00' x 31, 'ec' . 'ff' x 30 . '7f',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
);

# Read `ed25519:…` or `es256:…`. Refuses invalid_key.
sub parse ($class, $text) {
    my ($algorithm, $encoded) = $text =~ /\A(ed25519|es256):(.*)\z/s or refuse('invalid_key', 'no algorithm that is known');
    my $spki = unbase64($encoded) // refuse('invalid_key', 'no base64');
    $algorithm eq 'ed25519' ? _require_ed25519($spki) : _require_p256($spki);
    return bless { algorithm => $algorithm, spki => $spki }, $class;
}

sub from_raw ($class, $raw) { $class->parse('ed25519:' . base64(ED25519 . $raw)) }

sub text ($self)        { "$self->{algorithm}:" . base64($self->{spki}) }
sub id ($self)          { $self->{id} //= sha256_hex($self->{spki}) }
sub fingerprint ($self) { join ' ', substr($self->id, 0, 16) =~ /..../g }
sub raw ($self)         { $self->{algorithm} eq 'ed25519' ? substr($self->{spki}, 12) : refuse('invalid_key', 'no Ed25519 key') }

sub _require_ed25519 ($spki) {
    length $spki == 44 && substr($spki, 0, 12) eq ED25519 or refuse('invalid_key', 'no Ed25519 SubjectPublicKeyInfo');
    my @bytes = unpack 'C*', substr $spki, 12;
    $bytes[31] &= 0x7f;
    my $y = unpack 'H*', pack 'C*', @bytes;
    refuse('invalid_key', 'a key of small order') if $SMALL{$y};
    refuse('invalid_key', 'y is not below 2^255 - 19') if $bytes[0] >= 0xed && $y =~ /\A..(?:ff){30}7f\z/;
}

sub _require_p256 ($spki) {
    length $spki == 91 && substr($spki, 0, 27) eq P256 or refuse('invalid_key', 'no P-256 SubjectPublicKeyInfo');
    _openssl('pkey', '-pubin', '-inform', 'DER', '-in', _file($spki), '-noout') // refuse('invalid_key', 'no point of P-256');
}

# Check a signature over the message. Refuses bad_signature.
sub verify ($self, $signature, $message) {
    length $signature == 64 or refuse('bad_signature', 'a signature has 64 bytes');
    my @how = (-pubin => -keyform => 'DER', -inkey => _file($self->{spki}), '-rawin', -in => _file($message));
    if ($self->{algorithm} eq 'es256') {
        my ($r, $s) = unpack 'H64H64', $signature;
        my $none = '0' x 64;
        $r gt $none && $r lt ORDER && $s gt $none && $s le HALF or refuse('bad_signature', 'S is not in its lower half');
        $signature = _der($r, $s);
        push @how, -digest => 'sha256';
    }
    _openssl('pkeyutl', '-verify', @how, -sigfile => _file($signature)) // refuse('bad_signature', 'it does not fit');
}

# A private key in a PEM file: `new` makes one, `of_seed` has one for the published vectors.
package Key::Private {
    use v5.36;
    use Refused;

    sub new ($class, $algorithm) {
        my @how = $algorithm eq 'es256' ? ('EC', -pkeyopt => 'ec_paramgen_curve:P-256') : ('ED25519');
        return $class->_with(Key::_openssl('genpkey', -algorithm => @how));
    }

    # '01 × 32' is an Ed25519 seed, 'd = 1' the number of a P-256 key.
    sub of_seed ($class, $private) {
        my $der =
            $private =~ /\A([0-9a-f]{2}) × 32\z/ ? pack('H*', '302e020100300506032b657004220420' . $1 x 32)
          : $private =~ /\Ad = ([0-9]+)\z/       ? pack('H*', '30310201010420' . sprintf('%064x', $1) . 'a00a06082a8648ce3d030107')
          :                                        die "no private key: $private";
        return $class->_with(Key::_openssl('pkey', -inform => 'DER', -in => Key::_file($der)));
    }

    sub _with ($class, $pem) {
        $pem // die 'openssl made no key';
        my $path = Key::_file($pem);
        my $spki = Key::_openssl('pkey', -in => $path, '-pubout', -outform => 'DER') // die 'openssl read no key';
        my $algorithm = length $spki == 44 ? 'ed25519' : 'es256';
        return bless { pem => $path, public => Key->parse("$algorithm:" . Base64::base64($spki)) }, $class;
    }

    sub from_file ($class, $path) { $class->_with(Key::_openssl('pkey', -in => $path)) }

    sub public ($self) { $self->{public} }
    sub pem ($self) { Key::_openssl('pkey', -in => $self->{pem}) }

    # A PKCS #10 request for a certificate, DER.
    sub request ($self, $name) { Key::_openssl('req', '-new', -key => $self->{pem}, -subj => "/CN=$name", -outform => 'DER') // die 'openssl made no request' }

    sub sign ($self, $message) {
        my $es256 = $self->{public}{algorithm} eq 'es256';
        my @how = (-inkey => $self->{pem}, '-rawin', -in => Key::_file($message), $es256 ? (-digest => 'sha256') : ());
        my $signature = Key::_openssl('pkeyutl', '-sign', @how) // die 'openssl signed nothing';
        return $es256 ? Key::_low_s($signature) : $signature;
    }
}

# The SubjectPublicKeyInfo of a certificate in a PEM file, DER.
sub of_certificate ($path) {
    my $pem = _openssl('x509', -in => $path, '-pubkey', '-noout') // refuse('invalid_key', 'no certificate');
    return _openssl('pkey', '-pubin', -in => _file($pem), -outform => 'DER');
}

# DER of ECDSA-Sig-Value and R || S, each into the other.
sub _der ($r, $s) {
    my $numbers = join '', map {
        my $n = s/\A(?:00)+//r;
        $n = "00$n" if $n =~ /\A[89a-f]/;
        pack('CC', 2, length($n) / 2) . pack('H*', $n)
    } $r, $s;
    return pack('CC', 0x30, length $numbers) . $numbers;
}

sub _low_s ($der) {
    my ($r, $s) = unpack 'x2 x C/a x C/a', $der;
    my ($small, $order) = (Math::BigInt->from_hex(unpack 'H*', $s), Math::BigInt->from_hex(ORDER));
    my $other = $order->copy->bsub($small);
    $small = $other if $other->bcmp($small) < 0;
    my $number = sub ($hex) { substr '0' x 64 . $hex, -64 };
    return pack 'H64H64', $number->(unpack 'H*', $r), $number->($small->to_hex);
}

my $FOLDER = File::Temp->newdir;
my $FILES  = 0;

# Bytes in a file of their own, 0600, gone with the process.
sub _file ($bytes) {
    my $path = "$FOLDER/" . $FILES++;
    open my $file, '>:raw', $path or die "$path: $!";
    chmod 0600, $path;
    print $file $bytes;
    close $file or die "$path: $!";
    return $path;
}

# Standard output of openssl, or undef where it fails.
sub _openssl (@arguments) {
    my $out = "$FOLDER/out";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', $out;
        open STDERR, '>', '/dev/null';
        exec 'openssl', @arguments or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die 'there is no openssl' if $? >> 8 == 127;
    return undef if $?;
    open my $file, '<:raw', $out or die "$out: $!";
    return do { local $/; <$file> // '' };
}

1;
