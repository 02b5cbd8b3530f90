package Journal;

# The terminal's chain in a folder: `journal.jsonl`, an envelope a line, and its key files. What was signed is on disk
# before anybody hears of it; a receipt lets go only what it names by its hash.

use v5.36;
use Canonical;
use Encode ();
use Envelope;
use Event;
use IO::Handle ();
use Key;
use POSIX ();
use QrReceipt;
use Refused;
use Said;
use Time::HiRes ();

# `%us`: device, site, tz.
sub new ($class, $folder, $key, %us) {
    my $boot = _read('/proc/sys/kernel/random/boot_id') =~ s/[-\n]//gr;
    my $self = bless { folder => $folder, key => $key, us => \%us, boot => $boot, chain => random(16), released => -1, rows => [] }, $class;
    $self->append('device.enrolled', { key => $key->public->text, software => 'conformance', predecessor => undef });
    return $self;
}

sub random ($bytes) {
    open my $source, '<:raw', '/dev/urandom' or die "urandom: $!";
    read $source, my ($random), $bytes;
    return unpack 'H*', $random;
}

# RFC 3339 UTC with milliseconds.
sub now () {
    my ($seconds, $micros) = Time::HiRes::gettimeofday();
    return POSIX::strftime('%Y-%m-%dT%H:%M:%S', gmtime $seconds) . sprintf '.%03dZ', $micros / 1000;
}

# Sign the next event; `@also` signs beside the chain's key. Returns the row { seq, hash, bytes, time }.
sub append ($self, $kind, $body, @also) {
    my ($seq, $before) = (scalar @{ $self->{rows} }, $self->{rows}[-1]);
    my $ms = int(Time::HiRes::time() * 1000);
    my $id = sprintf('%012x', $ms) . '7' . substr(random(2), 1) . '8' . substr random(8), 1;
    my %event = (
        %{ $self->{us} },
        v       => whole(1),
        id      => join('-', unpack 'A8A4A4A4A12', $id),
        chain   => $self->{chain},
        seq     => whole($seq),
        prev    => $before && $before->{hash},
        kind    => $kind,
        time    => now(),
        clock   => { source => 'none', synced => truth(0), error_ms => undef, synced_at => undef },
        boot    => $self->{boot},
        mono_us => whole(int(Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) * 1e6)),
        nonce   => random(16),
        body    => $body,
    );
    my $envelope = Envelope->sign(type_of('event'), write_event(\%event), $self->{key}, @also);
    my $row = { seq => $seq, hash => $envelope->hash, bytes => $envelope->encode, time => $event{time} };
    keep("$self->{folder}/journal.jsonl", "$row->{bytes}\n");
    push @{ $self->{rows} }, $row;
    return $row;
}

# Hand the chain over to another key.
sub rotate ($self, $next) {
    my $row = $self->append('device.key_rotated',
        { previous => $self->{key}->public->text, key => $next->public->text, reason => 'planned: a test' }, $next);
    $self->{key} = $next;
    return $row;
}

sub unsent ($self) { @{ $self->{rows} }[$self->{released} + 1 .. $#{ $self->{rows} }] }

# Let go what a collector's receipt covers. Refuses what `Said::receipt` refuses, and another head than ours.
sub release ($self, $bytes, $key) {
    my $said = Said::receipt($bytes, $key, $self->{us}{device}, $self->{chain});
    my $row = $self->{rows}[$said->{upto}] // refuse('receipt_mismatch', 'it covers what we never signed');
    $row->{hash} eq $said->{head} or refuse('receipt_mismatch', 'the collector holds another event');
    keep("$self->{folder}/receipts.jsonl", "$bytes\n");
    $self->{released} = 0 + $said->{upto} if $said->{upto} > $self->{released};
    return $said;
}

# What the worker's QR code says of a row.
sub qr ($self, $row) {
    return QrReceipt::text($self->{key}, { device => $self->{us}{device}, chain => $self->{chain}, %$row{qw(seq hash time)} });
}

# Append to a file and see it on the disk.
sub keep ($path, $bytes) {
    open my $file, '>>:raw', $path or die "$path: $!\n";
    print $file $bytes;
    $file->flush && $file->sync or die "$path: $!\n";
    close $file or die "$path: $!\n";
}

sub _read ($path) {
    open my $file, '<:raw', $path or die "$path: $!\n";
    return do { local $/; <$file> };
}

1;
