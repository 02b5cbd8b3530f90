package Envelope;

# docs/protocol.md, "Envelope": DSSE v1, itself canonical, with base64 that has one form.

use v5.36;
use Base64;
use Canonical;
use Digest::SHA 'sha256_hex';
use Exporter 'import';
use Refused;
our @EXPORT = qw(pae);

use constant LONGEST => 65_536;

sub pae ($type, $payload) { 'DSSEv1 ' . length($type) . " $type " . length($payload) . " $payload" }

# Sign a payload with each key in order; returns the envelope.
sub sign ($class, $type, $payload, @keys) {
    my $message = pae($type, $payload);
    my @signatures = map { { keyid => $_->public->id, sig => $_->sign($message) } } @keys;
    return bless { type => $type, payload => $payload, signatures => \@signatures }, $class;
}

sub hash ($self) { sha256_hex(pae($self->{type}, $self->{payload})) }

sub encode ($self) {
    my @signatures = map { { keyid => $_->{keyid}, sig => base64($_->{sig}) } } @{ $self->{signatures} };
    return canonical({ payload => base64($self->{payload}), payloadType => $self->{type}, signatures => \@signatures });
}

# Read without believing. Refuses too_large, not_json, duplicate_key, invalid_envelope, not_canonical, in this order.
sub decode ($class, $bytes) {
    length $bytes <= LONGEST or refuse('too_large', 'an envelope has at most 65536 bytes');
    my $outer = read_json($bytes);
    _has($outer, qw(payload payloadType signatures)) or refuse('invalid_envelope', 'not these three fields');
    my ($type, $signatures) = @$outer{qw(payloadType signatures)};
    ref $signatures eq 'ARRAY' && @$signatures >= 1 && @$signatures <= 2 or refuse('invalid_envelope', 'one or two signatures');
    defined $type && !ref $type && $type =~ /\A[!#-\[\]-~]{1,128}\z/ or refuse('invalid_envelope', 'no payload type');
    my @read;
    for my $one (@$signatures) {
        _has($one, qw(keyid sig)) or refuse('invalid_envelope', 'a signature has keyid and sig');
        defined $one->{keyid} && !ref $one->{keyid} && $one->{keyid} =~ /\A[0-9a-f]{64}\z/ or refuse('invalid_envelope', 'no key id');
        push @read, { keyid => $one->{keyid}, sig => _bytes($one->{sig}) };
    }
    my $self = bless { type => $type, payload => _bytes($outer->{payload}), signatures => \@read }, $class;
    $self->encode eq $bytes or refuse('not_canonical', 'the envelope is not the RFC 8785 form');
    return $self;
}

# The payload, if each of these public keys signed it, in this order, as this type. Refuses wrong_payload_type,
# signature_count, unknown_key, bad_signature.
sub verified ($self, $type, @keys) {
    $self->{type} eq $type or refuse('wrong_payload_type', "a $self->{type}");
    @{ $self->{signatures} } == @keys or refuse('signature_count', scalar(@keys) . ' wanted');
    my $message = pae($self->{type}, $self->{payload});
    for my $at (0 .. $#keys) {
        my $signature = $self->{signatures}[$at];
        $signature->{keyid} eq $keys[$at]->id or refuse('unknown_key', "signed by $signature->{keyid}");
        $keys[$at]->verify($signature->{sig}, $message);
    }
    return $self->{payload};
}

sub _has ($value, @names) { ref $value eq 'HASH' && join(' ', sort keys %$value) eq "@names" }

sub _bytes ($text) {
    defined $text && !ref $text or refuse('invalid_envelope', 'base64 is a string');
    return unbase64($text) // refuse('invalid_envelope', 'this base64 has another form');
}

1;
