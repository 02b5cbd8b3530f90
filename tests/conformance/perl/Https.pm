package Https;

# One request to the collector, one answer: as much of HTTP/1.1 as joining needs.

use v5.36;
use Tls;

# `%server`: host, port, authority (a PEM file; none: unchecked). Returns the body of a 200; dies of anything else.
sub ask ($method, $path, $body, %server) {
    my $tls = Tls->connect(%server);
    my $request = join "\r\n", "$method $path HTTP/1.1", "Host: $server{host}:$server{port}", 'Content-Type: application/json',
        'Content-Length: ' . length $body, 'Connection: close', '', $body;
    syswrite $tls->socket, $request or die "the collector took nothing: $!\n";
    my ($head, $answer) = split /\r\n\r\n/, $tls->rest, 2;
    die "nobody who can be believed answers at $server{host}:$server{port}\n" if !defined $answer;
    my ($status) = $head =~ m{\AHTTP/1\.[01] ([0-9]{3}) };
    die "the collector answered $status: $answer\n" if $status != 200;
    return $answer;
}

1;
