package Said;

# docs/protocol.md: what the collector says to a terminal. Each is read in the same order: who signed it as what, the
# fields, for whom it is, its number and its time. Times have a fixed width, so they compare as text.

use v5.36;
use Canonical;
use Envelope;
use Exporter 'import';
use Field;
use Key;
use Refused;
our @EXPORT = qw(receipt gap_request command authorisation clearance kind_of read_said type_of);

sub type_of ($word) { "application/vnd.zaigang.$word.v1+json" }

# The payload type that a message claims, or '' where it is no envelope.
sub kind_of ($bytes) { my $envelope = eval { Envelope->decode($bytes) }; return $envelope ? $envelope->{type} : '' }

sub read_said ($bytes, $key, $word, $code, $needed, $possible = {}) {
    my $said = read_canonical(Envelope->decode($bytes)->verified(type_of($word), $key));
    fits($said, $needed, $possible) or refuse($code, "the payload is no $word");
    return $said;
}

sub _for_us ($said, $code, %us) {
    for my $field (sort keys %us) { $said->{$field} eq $us{$field} or refuse($code, "it is for another $field") }
}

sub receipt ($bytes, $key, $device, $chain = undef) {
    my $said = read_said($bytes, $key, 'receipt', 'receipt',
        { device => name, chain => hex128, upto => counter, head => hex256, tree_size => counter, time => utc_time });
    _for_us($said, 'receipt_mismatch', device => $device, defined $chain ? (chain => $chain) : ());
    return $said;
}

sub gap_request ($bytes, $key, $device) {
    my $said = read_said($bytes, $key, 'gap-request', 'gap_request',
        { device => name, chain => hex128, first => counter, last => counter, time => utc_time });
    $said->{last} >= $said->{first} or refuse('gap_request', 'it ends before it begins');
    _for_us($said, 'gap_request_mismatch', device => $device);
    return $said;
}

sub command ($bytes, $key, $device, $site) {
    my $said = read_said($bytes, $key, 'command', 'command',
        {
            id => hex128, device => name, site => name, counter => number(1), body => object,
            action    => text_like(qr/\A[a-z][a-z_]*(?:\.[a-z][a-z_]*)*\z/, 48),
            issued_by => text, issued => utc_time, expires => utc_time,
        });
    _for_us($said, 'command_mismatch', device => $device, site => $site);
    return $said;
}

# Whether a command is to be taken now. Refuses command_replayed before command_expired.
sub timely ($command, $last_counter, $now) {
    $command->{counter} > $last_counter or refuse('command_replayed', "command $last_counter was taken before");
    $command->{expires} gt $now or refuse('command_expired', 'it came after its time');
}

sub authorisation ($bytes, $key, $device, $site, $now) {
    my $said = read_said($bytes, $key, 'authorisation', 'authorisation',
        { id => hex128, worker => worker, name => text, device => name, site => name, authorised_by => text, expires => utc_time },
        { role => one_of(qw(worker supervisor)) });
    _for_us($said, 'authorisation_mismatch', device => $device, site => $site);
    $said->{expires} gt $now or refuse('authorisation_expired', 'it is past its time');
    $said->{role} //= 'worker';
    return $said;
}

sub clearance ($bytes, $key, $device, $site, $chain, $now) {
    my $said = read_said($bytes, $key, 'clearance', 'authorisation',
        { id => hex128, device => name, site => name, chain => hex128, opening => counter, authorised_by => text, expires => utc_time });
    _for_us($said, 'authorisation_mismatch', device => $device, site => $site, chain => $chain);
    $said->{expires} gt $now or refuse('authorisation_expired', 'it is past its time');
    return $said;
}

1;
