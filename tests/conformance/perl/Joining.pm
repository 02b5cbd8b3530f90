package Joining;

# docs/protocol.md, "Joining": the code, and the collector's answer.

use v5.36;
use Base64;
use Canonical;
use Digest::SHA 'sha256';
use Envelope;
use Field;
use Key;
use Refused;
use Said;

# The one-time code as a hash of its parts. Refuses join.
sub code ($text) {
    my $damaged = sub { refuse('join', 'the code is damaged') };
    my $word = $text =~ s/\s+//gr;
    my ($said, $check) = $word =~ m{\A(zaigang-join-v1/.*)/([^/]*)\z}s or $damaged->();
    $word =~ /\A[\x21-\x7e]{1,600}\z/ && $check eq base64url(substr sha256($said), 0, 3) or $damaged->();
    my (undef, $site, $device, $pin, $receipt, $command, $secret, $host, @more) = split m{/}, $said, -1;
    my %sizes = (32 => [$pin, $receipt, $command], 16 => [$secret]);
    for my $size (keys %sizes) {
        for my $one (@{ $sizes{$size} }) { defined $one && length(unbase64url($one) // '') == $size or $damaged->() }
    }
    $damaged->() if @more || !defined $host || $host !~ /\A[^\s\@?#:]+(?::[0-9]{1,5})?\z/ || !name->($site) || !name->($device);
    my $key = sub ($raw) { my $key = eval { Key->from_raw(unbase64url($raw)) }; return $key ? $key->text : $damaged->() };
    return {
        url     => "https://$host",
        pin     => unpack('H*', unbase64url($pin)),
        receipt => $key->($receipt),
        command => $key->($command),
        site    => $site,
        device  => $device,
        secret  => unpack('H*', unbase64url($secret)),
    };
}

my %MEMBERSHIP = (
    certificate => text(8000), authority => text(8000), tz => text(48), site_title => text(80),
    brokers     => sub ($value) { list_of(text(200))->($value) && @$value >= 1 && @$value <= 8 },
);

# The collector's answer to exactly this question. Refuses join, join_mismatch and what an envelope refuses.
sub answer ($bytes, $command_key, %asked) {
    my $said = read_said($bytes, $command_key, 'join-answer', 'join',
        {
            state => one_of(qw(waiting approved denied)), join => maybe(hex128), device => name, site => name,
            key_id => hex256, nonce => hex128, time => utc_time,
        },
        { membership => maybe(sub ($value) { fits($value, \%MEMBERSHIP) }) });
    for my $field (qw(nonce device site key_id)) { $said->{$field} eq $asked{$field} or refuse('join_mismatch', "another $field") }
    return $said;
}

1;
