package Event;

# docs/protocol.md, "Event": what every event has, and the bodies that decide something in a chain.

use v5.36;
use Canonical;
use Field;
use Exporter 'import';
use Refused;
our @EXPORT = qw(read_event write_event body_fits);

my $CODE = text_like(qr/\A[a-z][a-z0-9_]*\z/, 32);

my %FIELDS = (
    v       => sub ($value) { is_whole($value) && $value->{text} == 1 },
    id      => uuid7,
    device  => name,
    chain   => hex128,
    seq     => counter,
    prev    => maybe(hex256),
    kind    => text_like(qr/\A[a-z][a-z_]*(?:\.[a-z][a-z_]*)*\z/, 48),
    time    => utc_time,
    tz      => text_like(qr{\A[A-Za-z][A-Za-z0-9_+/-]{0,47}\z}),
    clock   => sub ($value) {
        fits($value, { source => one_of(qw(gps ntp rtc none)), synced => flag },
            { error_ms => maybe(counter), synced_at => maybe(utc_time) });
    },
    boot    => hex128,
    mono_us => counter,
    site    => name,
    nonce   => hex128,
    body    => object,
);

# A payload to an event. Refuses what read_canonical refuses, and invalid_event.
sub read_event ($payload) {
    my $event = read_canonical($payload);
    _require($event);
    return $event;
}

sub write_event ($event) {
    _require($event);
    return canonical($event);
}

sub _require ($event) {
    fits($event, \%FIELDS) or refuse('invalid_event', 'a field is missing or has another form');
    (!defined $event->{prev}) == ($event->{seq} == 0) or refuse('invalid_event', 'prev is null exactly at seq 0');
}

my $ASK = one_of(qw(turn_left turn_right look_up blink move_closer));

my %CHECK = (name => $CODE, outcome => one_of(qw(passed failed not_run)), reason => text);
my %CHECK_TOO = (observed => any, expected => any, model => maybe(text(80)));

my %PROMPT = (ask => $ASK, shown_ms => counter, answered_ms => maybe(counter));

sub _challenge ($value) {
    return fits($value, { prompts => list_of(sub ($one) { fits($one, \%PROMPT) }) }, { excused => list_of($ASK) });
}

sub _punch ($body, $kind) {
    fits(
        $body,
        {
            worker    => maybe(worker),
            log_type  => maybe(one_of(qw(IN OUT))),
            method    => one_of(qw(face badge_pin supervisor)),
            verdict   => one_of(qw(verified review refused)),
            checks    => list_of(sub ($one) { fits($one, \%CHECK, \%CHECK_TOO) }),
            policy    => hex256,
            receipt   => text_like(qr/\A[0-9A-HJKMNP-TV-Z]{8}\z/),
            tapped_at => utc_time,
        },
        { challenge => maybe(\&_challenge), frames => list_of(hex256), confirmed_by => maybe(worker) },
    ) or return 0;
    my ($verdict, $by) = @$body{qw(verdict confirmed_by)};
    return 0 if ($verdict eq 'refused') != ($kind eq 'punch.refused');
    return 0 if $verdict eq 'verified' && grep { $_->{outcome} eq 'failed' } @{ $body->{checks} };
    return 0 if defined $by && ($body->{method} ne 'supervisor' || defined $body->{worker} && $by eq $body->{worker});
    return 0 if $body->{method} eq 'supervisor' && $verdict ne 'refused' && !defined $by;
    return 1;
}

my %BODY = (
    'device.enrolled'    => sub ($body, $) { fits($body, { key => text(1e9), software => text }, { predecessor => maybe(object) }) },
    'device.key_rotated' => sub ($body, $) {
        fits($body, { previous => text(1000), key => text(1000), reason => text }) && $body->{key} ne $body->{previous};
    },
    'punch.recorded'    => \&_punch,
    'punch.refused'     => \&_punch,
    'enclosure.opened'  => sub ($body, $) { fits($body, { found => one_of(qw(running start unknown)), seen_at => utc_time }) },
    'enclosure.cleared' => sub ($body, $) {
        fits($body, { opening => counter, authorised_by => text, authorisation => hex128, clearance => text(4096) });
    },
);

# Whether the body can be read as its kind says; a kind that is not read here always can.
sub body_fits ($event) {
    my $check = $BODY{ $event->{kind} } // return 1;
    return $check->($event->{body}, $event->{kind});
}

1;
