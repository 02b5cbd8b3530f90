package Refused;

# What every reader here throws: the stable code of docs/spec and a sentence.

use v5.36;
use overload '""' => sub ($self, @) { "$self->{code}: $self->{why}\n" }, fallback => 1;
use Exporter 'import';
our @EXPORT = qw(refuse code_of);

sub refuse ($code, $why) { die bless { code => $code, why => $why }, __PACKAGE__ }

# The code with which `$reading` refuses, or undef where it takes what it reads. Anything else that dies is a fault.
sub code_of ($reading) {
    return undef if eval { $reading->(); 1 };
    my $error = $@;
    return $error->{code} if ref $error && $error->isa(__PACKAGE__);
    die $error;
}

1;
