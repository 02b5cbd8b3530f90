package Handover;

# docs/protocol.md, "The collector's statements": handovers from one key of the collector to the next.

use v5.36;
use Canonical;
use Envelope;
use Field;
use Key;
use Refused;
use Said;

# The keys that count after the documents of a message, one a line, for who has pinned `@pinned`.
sub follow ($message, @pinned) {
    my @counting = @pinned;
    my %handed_over;
    for my $line (split /\n/, $message, -1) {
        my ($old, $new) = _read($line);
        my ($place) = grep { $counting[$_]->id eq $old->id } 0 .. $#counting;
        next if !defined $place;    # older than our pins
        refuse('unknown_key', 'a key comes back') if $handed_over{ $new->id };
        $handed_over{ $old->id } = 1;
        $counting[$place] = $new;
    }
    my %seen;
    return grep { !$seen{ $_->id }++ } @counting;
}

sub _read ($line) {
    my $envelope = Envelope->decode($line);
    my $said = read_canonical($envelope->{payload});
    fits($said, { purpose => one_of(qw(receipt command checkpoint statement)), old => text(1e9), new => text(1e9), time => utc_time })
        or refuse('receipt', 'the payload is no handover');
    my ($old, $new) = map { Key->parse($said->{$_}) } qw(old new);
    refuse('invalid_key', 'a key is not handed over to itself') if $old->id eq $new->id;
    $envelope->verified(type_of('handover'), $old, $new);
    return ($old, $new);
}

1;
