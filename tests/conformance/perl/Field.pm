package Field;

# docs/protocol.md, "Forms of fields": a check for each form, and of an object against a table of them.

use v5.36;
use Canonical;
use Exporter 'import';
our @EXPORT = qw(fits text_like name hex128 hex256 uuid7 utc_time counter number text worker one_of maybe list_of flag object any);

# An object has every field of `$needed` in its form, and those of `$possible` that it has; others do no harm.
sub fits ($value, $needed, $possible = {}) {
    return 0 if ref $value ne 'HASH';
    for my $field (keys %$needed) { return 0 if !exists $value->{$field} || !$needed->{$field}->($value->{$field}) }
    for my $field (keys %$possible) { return 0 if exists $value->{$field} && !$possible->{$field}->($value->{$field}) }
    return 1;
}

sub text_like ($form, $longest = undef) {
    return sub ($value) {
        return defined $value && !ref $value && $value =~ $form && (!defined $longest || length $value <= $longest);
    };
}

sub name ()    { text_like(qr/\A[a-z0-9][a-z0-9-]{0,47}\z/) }
sub hex128 ()  { text_like(qr/\A[0-9a-f]{32}\z/) }
sub hex256 ()  { text_like(qr/\A[0-9a-f]{64}\z/) }
sub uuid7 ()   { text_like(qr/\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z/) }
sub counter () { number(0) }
sub text ($longest = 400) { text_like(qr/\A.*\z/s, $longest) }
sub worker ()  { text_like(qr{\A[^\s/+#\p{C}](?:[^/+#\p{C}\p{Zl}\p{Zp}]*[^\s/+#\p{C}])?\z}, 64) }
sub flag ()    { \&is_truth }
sub object ()  { sub ($value) { ref $value eq 'HASH' } }
sub any ()     { sub ($value) { 1 } }

sub number ($least, $most = undef) {
    return sub ($value) { is_whole($value) && $value->{text} >= $least && (!defined $most || $value->{text} <= $most) };
}

sub one_of (@words) {
    my %words = map { $_ => 1 } @words;
    return sub ($value) { defined $value && !ref $value && $words{$value} };
}

sub maybe ($check)   { sub ($value) { !defined $value || $check->($value) } }
sub list_of ($check) { sub ($value) { ref $value eq 'ARRAY' && !grep { !$check->($_) } @$value } }

my @DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);

sub utc_time () {
    return sub ($value) {
        return 0 if !defined $value || ref $value;
        my ($year, $month, $day) =
            $value =~ /\A([0-9]{4})-([0-9]{2})-([0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z\z/ or return 0;
        return 0 if $year < 1 || $month < 1 || $month > 12 || $day < 1;
        my $leap = $month == 2 && ($year % 4 == 0 && $year % 100 || $year % 400 == 0);
        return $day <= $DAYS[$month] + ($leap ? 1 : 0);
    };
}

1;
