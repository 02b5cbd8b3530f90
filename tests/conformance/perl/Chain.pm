package Chain;

# docs/protocol.md, "Chain": the rules, one envelope after the other, and the code of each breach.

use v5.36;
use Canonical;
use Envelope;
use Event;
use Key;
use Refused;

use constant EVENT => 'application/vnd.zaigang.event.v1+json';

# Which key counts after an event: `$key`, or the one that a rotation hands over to. Refuses what is signed otherwise.
sub key_after ($envelope, $event, $key) {
    if ($event->{kind} ne 'device.key_rotated') {
        $envelope->verified(EVENT, $key);
        return $key;
    }
    body_fits($event) or refuse('invalid_body', 'a rotation that cannot be read');
    my ($previous, $next) = map { my $text = $_; eval { Key->parse($text) } // refuse('invalid_body', 'no key') } @{ $event->{body} }{qw(previous key)};
    $previous->id eq $key->id or refuse('invalid_body', 'another key counts here');
    $envelope->verified(EVENT, $key, $next);
    return $next;
}

# `$keys`: device => [trusted Key, …].
sub new ($class, $keys) { bless { keys => $keys, counting => [], held => {}, position => 0, problems => [] }, $class }

# Check the next envelope's bytes; keeps what is wrong in `problems` and goes on.
sub feed ($self, $bytes) {
    my ($position, $event) = ($self->{position}++);
    my $code = Refused::code_of(sub {
        my $envelope = Envelope->decode($bytes);
        $event = read_event($envelope->{payload});
        my $key = $self->_signer($event, $envelope);
        $self->_admit($event, $envelope->hash, $key, key_after($envelope, $event, $key));
    });
    push @{ $self->{problems} }, { position => $position, seq => $event && 0 + $event->{seq}, code => $code } if $code;
    return $code;
}

sub _ours ($self, $event) { "$event->{device}/$event->{chain}" eq $self->{name} }

sub _signer ($self, $event, $envelope) {
    my $trusted = $self->{keys}{ $event->{device} } // refuse('unknown_key', 'no key is known of this terminal');
    if (@{ $self->{counting} } && $self->_ours($event)) {
        my @counting = grep { $_->[0] <= $event->{seq} } @{ $self->{counting} };
        return (@counting ? $counting[-1] : $self->{counting}[0])->[1];
    }
    my ($named) = grep { $_->id eq $envelope->{signatures}[0]{keyid} } @$trusted;
    return $named // $trusted->[0];
}

sub _admit ($self, $event, $hash, $key, $after) {
    my ($seq, $head) = (0 + $event->{seq}, $self->{head});
    if (!@{ $self->{counting} }) {
        push @{ $self->{counting} }, [$seq, $key];
        $self->{name} = "$event->{device}/$event->{chain}";
    }
    $self->_ours($event) or refuse('wrong_chain', "an event of $event->{device}/$event->{chain}");
    if (defined(my $held = $self->{held}{$seq})) { refuse($held eq $hash ? 'replay' : 'fork', "seq $seq is taken") }
    $self->{held}{$seq} = $hash;
    refuse('out_of_order', "seq $seq comes too late") if $head && $seq < $head->{seq};
    $self->{head} = { seq => $seq, hash => $hash, boot => $event->{boot}, mono_us => 0 + $event->{mono_us} };
    push @{ $self->{counting} }, [$seq + 1, $after] if $after->id ne $key->id;
    _follow($head, $event, $seq);
    $self->_look_inside($event, $seq, $key);
}

sub _follow ($head, $event, $seq) {
    if (!$head) {
        refuse('gap', 'the first events are missing') if $seq;
        refuse('bad_start', 'a chain starts with device.enrolled') if $event->{kind} ne 'device.enrolled';
        return;
    }
    refuse('gap', 'events are missing') if $seq > $head->{seq} + 1;
    refuse('broken_link', 'prev is not the hash of the event before') if $event->{prev} ne $head->{hash};
    refuse('monotonic_regression', 'mono_us fell within a boot') if $event->{boot} eq $head->{boot} && $event->{mono_us} < $head->{mono_us};
}

sub _look_inside ($self, $event, $seq, $key) {
    return if !body_fits($event);
    my ($kind, $body) = @$event{qw(kind body)};
    refuse('bad_start', 'the first event names another key') if $kind eq 'device.enrolled' && $body->{key} ne $key->text;
    if ($kind eq 'enclosure.opened') { $self->{opening} = $seq }
    elsif ($kind eq 'enclosure.cleared') {
        delete $self->{opening} if defined $self->{opening} && $body->{opening} == $self->{opening};
    }
    elsif ($kind =~ /\Apunch\./ && $body->{verdict} eq 'verified' && defined $self->{opening}) {
        refuse('verified_while_opened', "nothing cleared the opening at seq $self->{opening}");
    }
}

1;
