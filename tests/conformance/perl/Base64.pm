package Base64;

# Base64 that has one form: padded standard, and unpadded base64url.

use v5.36;
use Exporter 'import';
use MIME::Base64 ();
our @EXPORT = qw(base64 unbase64 base64url unbase64url);

sub base64 ($bytes) { MIME::Base64::encode_base64($bytes, '') }

# The bytes, or undef for any text that `base64` would not have written.
sub unbase64 ($text) {
    return undef if $text !~ m{\A[A-Za-z0-9+/]*={0,2}\z};
    my $bytes = MIME::Base64::decode_base64($text);
    return base64($bytes) eq $text ? $bytes : undef;
}

sub base64url ($bytes) { base64($bytes) =~ tr{+/=}{-_}dr }

sub unbase64url ($text) {
    return undef if $text !~ /\A[A-Za-z0-9_-]*\z/;
    my $bytes = MIME::Base64::decode_base64($text =~ tr{-_}{+/}r);
    return base64url($bytes) eq $text ? $bytes : undef;
}

1;
