package Tree;

# RFC 9162 section 2.1: leaves, nodes, roots, and the two proofs. Hashes are 32 raw bytes.

use v5.36;
use Digest::SHA 'sha256';
use Exporter 'import';
use Refused;
our @EXPORT = qw(leaf_hash root_of verify_inclusion verify_consistency);

sub leaf_hash ($data) { sha256("\x00$data") }
sub _node ($left, $right) { sha256("\x01$left$right") }

sub root_of (@row) {
    return sha256('') if !@row;
    while (@row > 1) { @row = map { $_ < $#row ? _node($row[$_], $row[$_ + 1]) : $row[$_] } grep { $_ % 2 == 0 } 0 .. $#row }
    return $row[0];
}

# Section 2.1.3.2. Refuses inclusion_failed.
sub verify_inclusion ($leaf, $index, $size, $path, $root) {
    my $fail = sub ($why) { refuse('inclusion_failed', $why) };
    $index < $size or $fail->('there is no such leaf');
    my ($place, $last, $node) = ($index, $size - 1, $leaf);
    for my $step (@$path) {
        length $step == 32 && $last or $fail->('the path is too long, or not of hashes');
        if ($place & 1 || $place == $last) {
            $node = _node($step, $node);
            ($place, $last) = ($place >> 1, $last >> 1) while $place && !($place & 1);
        }
        else { $node = _node($node, $step) }
        ($place, $last) = ($place >> 1, $last >> 1);
    }
    $last == 0 && $node eq $root or $fail->('this is not that leaf of that tree');
}

# Section 2.1.4.2; a tree without leaves is the beginning of every other. Refuses consistency_failed.
sub verify_consistency ($old, $old_root, $new, $new_root, $proof) {
    my $fail = sub ($why) { refuse('consistency_failed', $why) };
    $old <= $new or $fail->('the tree became smaller');
    grep { length != 32 } @$proof and $fail->('no hashes');
    if ($old == 0 || $old == $new) {
        @$proof && $fail->('no proof is due');
        ($old ? $new_root : sha256('')) eq $old_root or $fail->('another root');
        return;
    }
    my @path = ($old & ($old - 1) ? () : $old_root, @$proof);
    @path or $fail->('the proof is empty');
    my ($place, $last) = ($old - 1, $new - 1);
    ($place, $last) = ($place >> 1, $last >> 1) while $place & 1;
    my $older = my $newer = shift @path;
    for my $step (@path) {
        $last or $fail->('the proof is too long');
        if ($place & 1 || $place == $last) {
            ($older, $newer) = (_node($step, $older), _node($step, $newer));
            ($place, $last) = ($place >> 1, $last >> 1) while $place && !($place & 1);
        }
        else { $newer = _node($newer, $step) }
        ($place, $last) = ($place >> 1, $last >> 1);
    }
    $last == 0 && $older eq $old_root && $newer eq $new_root or $fail->('history was changed');
}

1;
