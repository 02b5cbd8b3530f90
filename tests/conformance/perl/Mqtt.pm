package Mqtt;

# As much of MQTT 3.1.1 as a terminal needs: clean session, a will, QoS 0 and 1, retained messages. OASIS standard, 2014.

use v5.36;
use IO::Socket::INET ();
use Tls;

# `%with`: host, port, client, will_topic, will, keepalive_s; tls: PEM files for Tls.pm. Dies where there is no broker or
# it refuses.
sub new ($class, %with) {
    my $tls = $with{tls} && Tls->connect(%with{qw(host port)}, %{ $with{tls} });
    my $socket = $tls ? $tls->socket : IO::Socket::INET->new(PeerAddr => $with{host}, PeerPort => $with{port}, Proto => 'tcp');
    my $self = bless { socket => $socket // die("no broker: $@\n"), tls => $tls, buffer => '', id => 0 }, $class;
    my $flags = 0b00101110;    # will retained, will QoS 1, will, clean session
    $self->_send(0x10, _text('MQTT') . pack('CCn', 4, $flags, $with{keepalive_s}) . join '', map { _text($_) } @with{qw(client will_topic will)});
    my ($type, $body) = $self->_packet;
    $type == 0x20 && $body =~ /\A.\x00\z/s or die "the broker refuses this terminal\n";
    return $self;
}

sub socket ($self) { $self->{socket} }

sub subscribe ($self, @topics) {
    $self->_send(0x82, pack('n', $self->_id) . join '', map { _text($_) . "\x01" } @topics);
}

sub publish ($self, $topic, $payload, $qos, $retain = 0) {
    $self->_send(0x30 | $qos << 1 | $retain, _text($topic) . ($qos ? pack 'n', $self->_id : '') . $payload);
}

sub ping ($self) { $self->_send(0xc0, '') }
sub disconnect ($self) { $self->_send(0xe0, ''); close $self->{socket} }

# Call when the socket can be read: every message that is complete, as [topic, payload]. A message is acknowledged when
# `$take` has taken it.
sub messages ($self, $take) {
    sysread $self->{socket}, $self->{buffer}, 65_536, length $self->{buffer} or die "the broker went away\n";
    while (my ($type, $body) = $self->_complete) {
        if (($type & 0xf0) == 0x30) {
            my ($topic, $rest) = unpack 'n/a a*', $body;
            my $qos = $type >> 1 & 3;
            my $id = $qos ? substr $rest, 0, 2, '' : '';
            $take->($topic, $rest);
            $self->_send(0x40, $id) if $qos;
        }
        elsif (($type & 0xf0) == 0x90) { die "the broker denies a topic\n" if $body =~ /\A...*\x80/s; $take->('subscribed', '') }
    }
}

sub _id ($self) { $self->{id} = $self->{id} % 65_535 + 1 }
sub _text ($text) { pack 'n/a', $text }

sub _send ($self, $type, $body) {
    my ($length, $digits) = (length $body, '');
    do { my $digit = $length & 0x7f; $length >>= 7; $digits .= chr($digit | ($length ? 0x80 : 0)) } while $length;
    my $packet = chr($type) . $digits . $body;
    while (length $packet) {
        my $sent = syswrite $self->{socket}, $packet or die "the broker went away\n";
        substr $packet, 0, $sent, '';
    }
}

sub _packet ($self) {
    while (1) {
        if (my @packet = $self->_complete) { return @packet }
        sysread $self->{socket}, $self->{buffer}, 65_536, length $self->{buffer} or die "the broker went away\n";
    }
}

# The first packet of the buffer, or nothing where it is not whole yet.
sub _complete ($self) {
    my ($type, $digits) = $self->{buffer} =~ /\A(.)([\x80-\xff]{0,3}[\x00-\x7f])/s or return;
    my ($length, $shift) = (0, 0);
    for my $digit (unpack 'C*', $digits) { $length |= ($digit & 0x7f) << $shift; $shift += 7 }
    my $head = 1 + length $digits;
    return if length $self->{buffer} < $head + $length;
    my $packet = substr $self->{buffer}, 0, $head + $length, '';
    return (ord $type, substr $packet, $head);
}

1;
