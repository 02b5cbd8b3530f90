package Canonical;

# docs/protocol.md, "Canonical bytes": RFC 8785 without floats, integers below 2^53, no key twice, 32 levels.
# A string is a Perl string of characters; null is undef; numbers and booleans are objects, so that "1", 1 and true differ.

use v5.36;
no warnings "recursion";
use Encode ();
use Exporter 'import';
use Refused;
our @EXPORT = qw(utf8_text canonical read_json read_canonical whole truth is_whole is_truth);

use constant { DEEPEST => 32, LARGEST => 2**53 - 1 };

package Whole { use overload '""' => sub ($n, @) { $n->{text} }, '0+' => sub ($n, @) { 0 + $n->{text} }, fallback => 1 }
package Truth { use overload 'bool' => sub ($t, @) { $t->{is} }, fallback => 1 }

sub whole ($number) { bless { text => "$number" }, 'Whole' }
sub truth ($is)     { bless { is => $is ? 1 : 0 }, 'Truth' }
sub is_whole ($value) { ref $value eq 'Whole' }
sub is_truth ($value) { ref $value eq 'Truth' }

# The characters of UTF-8 bytes, or undef. Perl's own strict decoder refuses U+FFFF and its like, which are characters
# here; its lax one takes surrogates and what is beyond Unicode, which are none.
sub utf8_text ($bytes) {
    my $text = eval { Encode::decode('utf8', $bytes, Encode::FB_CROAK | Encode::LEAVE_SRC) } // return undef;
    return $text =~ /[\x{D800}-\x{DFFF}]|[^\x{0}-\x{10FFFF}]/ ? undef : $text;
}

# Bytes to a value. Refuses not_json and duplicate_key; `read_canonical` also not_canonical, in this order.
sub read_json ($bytes) {
    my $text = utf8_text($bytes) // refuse('not_json', 'no UTF-8');
    my $twice;
    pos($text) = 0;
    my $value = _value(\$text, \$twice);
    $text =~ /\G[ \t\n\r]*\z/gc or refuse('not_json', 'something follows the value');
    refuse('duplicate_key', "the key $twice stands twice in one object") if defined $twice;
    return $value;
}

sub read_canonical ($bytes) {
    my $value = read_json($bytes);
    canonical($value) eq $bytes or refuse('not_canonical', 'the bytes are not the RFC 8785 form');
    return $value;
}

sub canonical ($value) { Encode::encode('utf8', _written($value, 0)) }

sub _written ($value, $depth) {
    refuse('not_canonical', 'it nests too deep') if $depth > DEEPEST;
    return 'null' if !defined $value;
    return _string($value) if !ref $value;
    return $value->{is} ? 'true' : 'false' if is_truth($value);
    return _integer($value->{text}) if is_whole($value);
    return '[' . join(',', map { _written($_, $depth + 1) } @$value) . ']' if ref $value eq 'ARRAY';
    my @names = sort { _utf16($a) cmp _utf16($b) } keys %$value;
    return '{' . join(',', map { _string($_) . ':' . _written($value->{$_}, $depth + 1) } @names) . '}';
}

# RFC 8785 sorts by these. (Perl's own encoder puts U+FFFD for U+FFFF and its like.)
sub _utf16 ($text) {
    return pack 'n*', map { $_ < 0x10000 ? $_ : (0xD800 + ($_ - 0x10000 >> 10), 0xDC00 + ($_ & 0x3FF)) } unpack 'W*', $text;
}

sub _integer ($text) {
    $text =~ /\A(?:0|-?[1-9][0-9]{0,15})\z/ && abs($text) <= LARGEST or refuse('not_canonical', "$text is no portable integer");
    return $text;
}

my %ESCAPE = ("\b" => '\b', "\t" => '\t', "\n" => '\n', "\f" => '\f', "\r" => '\r', '"' => '\"', '\\' => '\\\\');
my %MEANT  = (b => "\b", t => "\t", n => "\n", f => "\f", r => "\r", '"' => '"', '\\' => '\\', '/' => '/');

sub _string ($text) {
    refuse('not_canonical', 'half a surrogate pair') if $text =~ /[\x{D800}-\x{DFFF}]/;
    return '"' . ($text =~ s{(["\\\x00-\x1f])}{$ESCAPE{$1} // sprintf '\u%04x', ord $1}ger) . '"';
}

sub _value ($text, $twice) {
    for ($$text) {
        /\G[ \t\n\r]*/gc;
        return undef if /\Gnull/gc;
        return truth(1) if /\Gtrue/gc;
        return truth(0) if /\Gfalse/gc;
        return whole($1) if /\G(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/gc;    # a fraction is found when it is written
        return _read_string($text) if /\G"/gc;
        return _list($text, $twice) if /\G\[/gc;
        return _object($text, $twice) if /\G\{/gc;
    }
    refuse('not_json', 'no JSON value at character ' . (pos($$text) // 0));
}

sub _list ($text, $twice) {
    my @items;
    return \@items if $$text =~ /\G[ \t\n\r]*\]/gc;
    while (1) {
        push @items, _value($text, $twice);
        next if $$text =~ /\G[ \t\n\r]*,/gc;
        return \@items if $$text =~ /\G[ \t\n\r]*\]/gc;
        refuse('not_json', 'a list has no end');
    }
}

sub _object ($text, $twice) {
    my %object;
    return \%object if $$text =~ /\G[ \t\n\r]*\}/gc;
    while (1) {
        $$text =~ /\G[ \t\n\r]*"/gc or refuse('not_json', 'an object has no key');
        my $name = _read_string($text);
        $$text =~ /\G[ \t\n\r]*:/gc or refuse('not_json', 'a key has no value');
        $$twice //= $name if exists $object{$name};
        $object{$name} = _value($text, $twice);
        next if $$text =~ /\G[ \t\n\r]*,/gc;
        return \%object if $$text =~ /\G[ \t\n\r]*\}/gc;
        refuse('not_json', 'an object has no end');
    }
}

sub _read_string ($text) {
    my $read = '';
    for ($$text) {
        while (1) {
            if    (/\G([^"\\\x00-\x1f]+)/gc) { $read .= $1 }
            elsif (/\G"/gc)                  { return $read }
            elsif (m{\G\\(["\\/bfnrt])}gc)   { $read .= $MEANT{$1} }
            elsif (/\G\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/gc) {
                $read .= chr(0x10000 + ((hex($1) - 0xD800) << 10) + hex($2) - 0xDC00);
            }
            elsif (/\G\\u([0-9a-fA-F]{4})/gc) { no warnings 'surrogate'; $read .= chr hex $1 }
            else                              { refuse('not_json', 'a string is broken') }
        }
    }
}

1;
