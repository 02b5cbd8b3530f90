package Note;

# C2SP signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof, with docs/protocol.md's one form of base64.

use v5.36;
use Base64;
use Canonical 'utf8_text';
use Digest::SHA 'sha256';
use Encode ();
use Exporter 'import';
use Key;
use Refused;
use Tree;
our @EXPORT = qw(verifier_key verify_checkpoint verify_tlog_proof);

my $NAME = qr/[^\s+\x00-\x1f]+/;

# `name+id+base64(type ‖ key)`. Refuses invalid_key.
sub verifier_key ($text) {
    my ($name, $id, $encoded) = $text =~ /\A($NAME)\+([0-9a-f]{8})\+(\S+)\z/ or refuse('invalid_key', 'no vkey');
    my $data = unbase64($encoded) // refuse('invalid_key', 'no base64');
    length $data == 33 or refuse('invalid_key', 'a type and 32 bytes');
    my $key = { name => $name, type => ord $data, key => Key->from_raw(substr $data, 1), id => substr(sha256(Encode::encode('utf8', $name) . "\n$data"), 0, 4) };
    unpack('H*', $key->{id}) eq $id or refuse('invalid_key', 'the id does not fit');
    return $key;
}

# Bytes to [text, [name, id, signature] …]. Refuses too_large, invalid_note.
sub _read ($bytes) {
    length $bytes <= 1_000_000 or refuse('too_large', 'a note has at most a million bytes');
    my $note = utf8_text($bytes) // refuse('invalid_note', 'no UTF-8');
    refuse('invalid_note', 'a control character') if $note =~ /[\x00-\x09\x0b-\x1f]/;
    my ($text, $lines) = $note =~ /\A(.+\n)\n((?:[^\n]*\n)+)\z/s or refuse('invalid_note', 'no signatures');
    ($text, $lines) = ("$1\n", $2) if $note =~ /\A(.+)\n\n((?:[^\n]+\n)+)\z/s;    # the last empty line parts them
    my @lines = split /\n/, $lines;
    @lines <= 100 or refuse('too_large', 'a note has at most 100 signatures');
    my @signatures = map {
        my ($name, $encoded) = /\A\x{2014} ($NAME) (\S+)\z/ or refuse('invalid_note', 'no signature line');
        my $data = unbase64($encoded) // refuse('invalid_note', 'this base64 has another form');
        length $data > 4 or refuse('invalid_note', 'no signature');
        [$name, substr($data, 0, 4), substr $data, 4];
    } @lines;
    return ($text, \@signatures);
}

sub _by ($key, $signatures) { map { $_->[2] } grep { $_->[0] eq $key->{name} && $_->[1] eq $key->{id} } @$signatures }

# A checkpoint { size, root } of this origin that the log signed and `$needed` of the witnesses cosigned. Refuses
# invalid_note, invalid_checkpoint, wrong_origin, unknown_key, bad_signature, missing_cosignatures, in this order.
sub verify_checkpoint ($bytes, $origin, $log, $witnesses, $needed) {
    my ($text, $signatures) = _read($bytes);
    my ($of, $size, $encoded) = $text =~ /\A([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n(?:[^\n]+\n)*\z/
        or refuse('invalid_checkpoint', 'no origin, size and root');
    my $root = unbase64($encoded) // '';
    length $root == 32 or refuse('invalid_checkpoint', 'the root is no hash');
    $of eq $origin or refuse('wrong_origin', "of $of");
    my $signed = Encode::encode('utf8', $text);
    my @log = _by($log, $signatures) or refuse('unknown_key', 'the log has not signed');
    $log->{key}->verify($_, $signed) for @log;
    my $found = 0;
    for my $witness (@$witnesses) {
        my @cosigned = _by($witness, $signatures);
        for my $one (@cosigned) {
            length $one == 72 or refuse('bad_signature', 'a cosignature has 72 bytes');
            my $seconds = unpack 'Q>', $one;
            $witness->{key}->verify(substr($one, 8), "cosignature/v1\ntime $seconds\n$signed");
        }
        $found++ if @cosigned;
    }
    $found >= $needed or refuse('missing_cosignatures', "$found of $needed");
    return { size => $size, root => $root };
}

# A tlog-proof of a leaf hash; returns its index. Refuses invalid_proof, what a checkpoint refuses, inclusion_failed.
sub verify_tlog_proof ($bytes, $leaf, $origin, $log, $witnesses, $needed) {
    my ($index, $path, $note) = $bytes =~ m{\Ac2sp\.org/tlog-proof\@v1\n(?:extra [^\n]*\n)?index (0|[1-9][0-9]{0,18})\n((?:[A-Za-z0-9+/]{43}=\n)*)\n(.+)\z}s
        or refuse('invalid_proof', 'no tlog-proof');
    my @path = map { unbase64($_) // refuse('invalid_proof', 'this base64 has another form') } split /\n/, $path;
    my $checkpoint = verify_checkpoint($note, $origin, $log, $witnesses, $needed);
    verify_inclusion($leaf, $index, $checkpoint->{size}, \@path, $checkpoint->{root});
    return $index;
}

1;
