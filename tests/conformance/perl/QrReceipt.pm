package QrReceipt;

# docs/protocol.md, "The worker's receipt": what stands in the QR code.

use v5.36;
use Base64;
use Envelope;
use Refused;

use constant TYPE => 'application/vnd.zaigang.punch-receipt.v1';

sub text ($key, $said) {
    my $statement = join '/', 'zaigang-receipt-v1', $said->{device}, base64url(pack 'H*', $said->{chain}), $said->{seq},
        base64url(pack 'H*', $said->{hash}), $said->{time};
    return "$statement/" . base64url($key->sign(pae(TYPE, $statement)));
}

# Refuses too_large, receipt, bad_signature.
sub verified ($text, $key) {
    length $text <= 300 or refuse('too_large', 'a receipt has at most 300 bytes');
    my ($statement, $device, $chain, $seq, $hash, $time, $signature) = $text =~ m{
        \A(zaigang-receipt-v1/([a-z0-9][a-z0-9-]{0,47})/([A-Za-z0-9_-]{22})/(0|[1-9][0-9]{0,15})/([A-Za-z0-9_-]{43})
        /([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z))/([A-Za-z0-9_-]{86})\z}x
        or refuse('receipt', 'no receipt');
    refuse('receipt', 'no event has this seq') if $seq > 2**53 - 1;
    ($chain, $hash, $signature) = map { unbase64url($_) // refuse('receipt', 'this base64url has another form') } $chain, $hash, $signature;
    $key->verify($signature, pae(TYPE, $statement));
    return { device => $device, chain => unpack('H*', $chain), seq => $seq, hash => unpack('H*', $hash), time => $time };
}

1;
