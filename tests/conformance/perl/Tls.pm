package Tls;

# A TLS connection as a pair of sockets with `openssl s_client` behind them: what is written goes to the peer, what the
# peer says can be read. Only the given authority is believed, name included; without one, nobody is checked.

use v5.36;
use IO::Handle ();
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

# `%with`: host, port; authority, certificate, key: PEM files.
sub connect ($class, %with) {
    my ($ours, $theirs);
    socketpair $ours, $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!\n";
    my @how = ('s_client', '-quiet', -connect => "$with{host}:$with{port}", -servername => $with{host}, '-no-CApath', '-no-CAstore');
    push @how, -CAfile => $with{authority}, -verify_hostname => $with{host}, '-verify_return_error' if $with{authority};
    push @how, -cert => $with{certificate}, -key => $with{key} if $with{certificate};
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDIN,  '<&', $theirs;
        open STDOUT, '>&', $theirs;
        open STDERR, '>',  '/dev/null';
        exec 'openssl', @how or POSIX::_exit(127);
    }
    close $theirs;
    return bless { socket => $ours, pid => $pid }, $class;
}

sub socket ($self) { $self->{socket} }

# The peer's words up to the end of the connection.
sub rest ($self) {
    my $all = '';
    while (sysread $self->{socket}, $all, 65_536, length $all) { }
    return $all;
}

sub DESTROY ($self) {
    local $?;
    close $self->{socket};
    kill TERM => $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
