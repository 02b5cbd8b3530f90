#!/bin/sh
# verify-bundle.sh BUNDLE TRUST.json [RECEIPT]: check a Zaigang evidence bundle with openssl (3.0 or later), unzip and the
# utilities of a POSIX system; nothing of Zaigang's is needed. RECEIPT is the text of a worker's QR code.
# Exit status: 0 everything holds, 1 something does not (each thing named on a line of its own), 2 it could not be checked.
#
# What it checks is in docs/spec/bundle.md, except: that signed payloads are in canonical JSON form, Ed25519 keys of small
# order, and kept checkpoints or time-stamps in the trust file, at which it stops. It is slow (a second for a few events),
# and short enough to be read before it is believed.
set -u
LC_ALL=C
export LC_ALL
IFS=' '
umask 077

[ $# -ge 2 ] || { echo "usage: verify-bundle.sh BUNDLE TRUST.json [RECEIPT]" >&2; exit 2; }
bundle=$1 trust=$2 receipt=${3-}
for tool in openssl unzip awk sed od cmp; do
  command -v "$tool" >/dev/null || { echo "verify-bundle.sh needs $tool" >&2; exit 2; }
done
[ -r "$bundle" ] && [ -r "$trust" ] || { echo "cannot read $bundle or $trust" >&2; exit 2; }
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' INT TERM
mkdir "$work/files"
bad=0 events=0

fail() { # CODE MESSAGE
  bad=$((bad + 1))
  printf '[%s] %s\n' "$1" "$(plain "$2")"
}
plain() { # TEXT: without what could steer the reader's screen, whoever wrote it
  printf %s "$1" | tr -cd '\040-\176'
}
finish() {
  if [ "$bad" -eq 0 ]; then
    echo "Everything holds: $events events. 全部成立：$events 个事件。"
    exit 0
  fi
  echo "This does not hold: $bad problem(s). 不成立：发现 $bad 处问题。"
  exit 1
}

# --- bytes

sha() { openssl dgst -sha256 -r "$1" | cut -c1-64; }
unhex() { # hex text to bytes
  left=$1
  while [ -n "$left" ]; do
    rest=${left#??}
    printf "\\$(printf %03o "0x${left%"$rest"}")"
    left=$rest
  done
}
little() { # NUMBER BYTES: little-endian
  number_left=$1 bytes_left=$2
  while [ "$bytes_left" -gt 0 ]; do
    printf "\\$(printf %03o $((number_left & 255)))"
    number_left=$((number_left >> 8)) bytes_left=$((bytes_left - 1))
  done
}
hexof() { od -An -v -tx1 "$1" | tr -d ' \n'; }
unbase() { printf %s "$1" | openssl base64 -d -A; }
tobase() { openssl base64 -A; }
node() { # LEFT RIGHT, base64: RFC 6962 node hash, base64
  { printf '\001'; unbase "$1"; unbase "$2"; } | openssl dgst -sha256 -binary | tobase
}

# --- keys and signatures

der_of() { # KEY-TEXT FILE
  unbase "${1#*:}" >"$2"
}
check_signature() { # KEY-TEXT SIGNATURE-FILE MESSAGE-FILE
  der_of "$1" "$work/key.der"
  [ "$(wc -c <"$2")" -eq 64 ] || return 1
  case $1 in
    ed25519:*)
      openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$3" -sigfile "$2" >/dev/null 2>&1
      ;;
    es256:*)
      both=$(hexof "$2")
      s=$(printf %s "$both" | cut -c65-128)
      half=7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8
      [ "$(printf '%s\n%s\n' "$s" "$half" | sort | head -n 1)" = "$s" ] || return 1
      { printf '\060'; sequence "$(integer "$(printf %s "$both" | cut -c1-64)")$(integer "$s")"; } >"$work/sig.der"
      openssl dgst -sha256 -keyform DER -verify "$work/key.der" -signature "$work/sig.der" "$3" >/dev/null 2>&1
      ;;
    *) return 1 ;;
  esac
}
integer() { # 64 hex digits to a DER INTEGER in hex
  digits=$(printf %s "$1" | sed 's/^\(00\)*//')
  case $digits in [89a-f]*) digits=00$digits ;; esac
  printf '02%02x%s' $((${#digits} / 2)) "$digits"
}
sequence() { # hex of the contents, after the tag
  unhex "$(printf %02x $((${#1} / 2)))$1"
}

b64='[A-Za-z0-9+/]'
key_text="ed25519:MCowBQYDK2VwAyEA$b64{43}=|es256:MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE$b64{86}=="
signed='\{"keyid":"[0-9a-f]{64}","sig":"'$b64'{85}[AQgw]=="\}'
envelope='\{"payload":"('$b64'{4})*('$b64'{2}==|'$b64'{3}=)?","payloadType":"[!#-[^-~]*","signatures":\['$signed'(,'$signed')?\]\}'

# Checks an envelope in the file $1 of the payload type $2 signed by the keys $3 and, where given, $4; leaves the payload
# in $work/payload and the signed bytes in $work/pae.
check_envelope() {
  [ "$(wc -l <"$1")" -eq 0 ] && grep -Eqx "$envelope" "$1" || { why=invalid_envelope; return 1; }
  sed 's/^{"payload":"\([^"]*\)".*/\1/' "$1" | tr -d '\n' >"$work/encoded"
  openssl base64 -d -A -in "$work/encoded" >"$work/payload"
  tobase <"$work/payload" | cmp -s - "$work/encoded" || { why=invalid_envelope; return 1; }
  kind=$(sed 's/.*"payloadType":"\([^"]*\)","signatures":\[.*/\1/' "$1")
  size=$(($(wc -c <"$work/payload")))
  { printf 'DSSEv1 %d %s %d ' "${#kind}" "$kind" "$size"; cat "$work/payload"; } >"$work/pae"
  [ "$kind" = "$2" ] || { why=wrong_payload_type; return 1; }
  tail=$(sed 's/.*"signatures":\[//; s/\]}$//' "$1")
  case $tail in
    *'},{'*) [ -n "${4-}" ] || { why=signature_count; return 1; } ;;
    *) [ -z "${4-}" ] || { why=signature_count; return 1; } ;;
  esac
  one_signature "$3" "${tail%%\},\{*}" || return 1
  [ -z "${4-}" ] || one_signature "$4" "${tail##*\},\{}"
}
one_signature() { # KEY-TEXT '"keyid":"…","sig":"…"'
  der_of "$1" "$work/key.der"
  named=$(printf %s "$2" | sed 's/.*"keyid":"\([0-9a-f]*\)".*/\1/')
  [ "$named" = "$(sha "$work/key.der")" ] || { why=unknown_key; return 1; }
  unbase "$(printf %s "$2" | sed 's/.*"sig":"\([^"]*\)".*/\1/')" >"$work/sig"
  check_signature "$1" "$work/sig" "$work/pae" || { why=bad_signature; return 1; }
}

# --- whom the reader trusts

# $work/trust: every value of the trust file, PATH and value parted by a tab, lists as []. What has another form than a
# trust file has, or a member that none has, is refused: a misspelt wish would else be no wish.
stop() { echo "$1" >&2; exit 2; }
tr '\n\r\t' '   ' <"$trust" | sed -E 's/"([^"\\]|\\.)*"/\
&\
/g' | awk '
  function path(  at, all) {for (at = 1; at <= depth; at++) all = all (kind[at] == "{" ? "." key[at] : "[]"); return all}
  function left() {depth--; state = depth ? "after" : "end"}
  function take(word) {
    if (state == "key" || state == "first key") {
      if (word == "}" && state == "first key") {left(); return}
      key[depth] = substr(word, 2, length(word) - 2)
      if (word !~ /^"[A-Za-z0-9_-]+"$/ || there[number[depth], key[depth]]++) bad = 1
      state = "colon"
    } else if (state == "colon" && word == ":") state = "value"
    else if (state == "first value" && word == "]") left()
    else if (state == "value" || state == "first value") {
      if (word !~ /^("([^"\\]|\\.)*"|true|false|null|-?(0|[1-9][0-9]*)|[[{])$/) bad = 1
      print path() "\t" word
      state = depth ? "after" : "end"
      if (word == "{" || word == "[") {kind[++depth] = word; number[depth] = ++count; state = word == "{" ? "first key" : "first value"}
    } else if (state == "after" && word == ",") state = kind[depth] == "{" ? "key" : "value"
    else if (state == "after" && word == (kind[depth] == "{" ? "}" : "]")) left()
    else bad = 1
  }
  BEGIN {state = "value"}
  /^"/ {take($0); next}
  {gsub(/[][{}:,]/, " & "); words = split($0, word, / +/); for (at_word = 1; at_word <= words; at_word++) if (word[at_word] != "") take(word[at_word])}
  END {exit bad || state != "end"}' >"$work/trust" || stop "the trust file is no JSON, or has a name twice"
tab=$(printf '\t') text='"([^"\\]|\\.)*"' vkey="\"[^ \"+\\\\]+\\+[0-9a-f]{8}\\+$b64{44}\""
grep -Evqx "$tab\{|\.origin$tab$text|\.checkpoint_keys$tab\[|\.checkpoint_keys\[\]$tab$vkey|\.collector$tab\{|\.collector\.receipt$tab\[|\.collector\.receipt(\[\])?$tab\"($key_text)\"|\.collector\.command$tab(null|\"($key_text)\")|\.devices$tab\{|\.devices\.[a-z0-9][a-z0-9-]{0,47}($tab\[|\[\]$tab\"($key_text)\")|\.witnesses$tab(null|\{)|\.witnesses\.keys($tab\[|\[\]$tab$vkey)|\.witnesses\.quorum$tab[1-9][0-9]{0,3}|\.(tsa|checkpoints)($tab\[|\[\]$tab$text)|\.handovers($tab\[|\[\]$tab\{|\[\]\.(payload|payloadType)$tab$text|\[\]\.signatures($tab\[|\[\]$tab\{|\[\]\.(keyid|sig)$tab$text))" "$work/trust" &&
  stop "the trust file has a field that none has, or in another form"
values() { # PATH, as a pattern: the texts there, parted by spaces
  sed -n "s/^$1$tab\"\\(.*\\)\"\$/\\1/p" "$work/trust" | tr '\n' ' '
}
origin=$(sed -n "s/^\\.origin$tab\"\\(.*\\)\"\$/\\1/p" "$work/trust")
log_keys=$(values '\.checkpoint_keys\[\]') receipt_keys="$(values '\.collector\.receipt') $(values '\.collector\.receipt\[\]')"
witness_keys=$(values '\.witnesses\.keys\[\]') quorum=$(sed -n "s/^\\.witnesses\\.quorum$tab//p" "$work/trust")
sed -n "s/^\\.devices\\.\\([a-z0-9-]*\\)\\[\\]$tab\"\\(.*\\)\"\$/\\1 \\2/p" "$work/trust" >"$work/pinned"
! grep -Eq '^\.(tsa|checkpoints)\[\]' "$work/trust" ||
  stop "this script checks no kept checkpoints and no time-stamps; see docs/verify-by-hand.md"
[ -n "$origin" ] && [ -n "$log_keys" ] && [ "$receipt_keys" != ' ' ] ||
  stop "the trust file names no origin, checkpoint_keys or collector.receipt"
[ "$(sed -n "s/^\\.devices\\.\\([a-z0-9-]*\\)$tab\\[\$/\\1/p" "$work/trust" | sort)" = "$(cut -d' ' -f1 "$work/pinned" | sort -u)" ] ||
  stop "the trust file names a device without a key"

# Keys that were handed over. Each document is signed by the key before and the key after; whoever trusts the one has the
# other, too. $work/bounds: PURPOSE KEY SIZE, the entries of the ledger up to which a key counts that was handed over.
flat=$(tr -d ' \n\r\t' <"$trust")
printf %s "$flat" | grep -Eo '\{"payload":"[^"]*","payloadType":"[^"]*","signatures":\['"$signed,$signed"'\]\}' >"$work/documents"
[ "$(printf %s "$flat" | grep -o '"payload":' | wc -l)" -eq "$(wc -l <"$work/documents")" ] ||
  stop "a handover in the trust file cannot be read"
: >"$work/handed"
while IFS= read -r line; do
  printf %s "$line" >"$work/document"
  payload=$(printf %s "$line" | sed 's/^{"payload":"\([^"]*\)".*/\1/' | openssl base64 -d -A)
  set -- $(printf %s "$payload" |
    sed -n 's/^{"new":"\([^"]*\)","old":"\([^"]*\)","purpose":"\([a-z]*\)","time":"[^"]*","tree_size":\([0-9nul]*\)}$/\3 \2 \1 \4/p;s/^{"new":"\([^"]*\)","old":"\([^"]*\)","purpose":"\([a-z]*\)","time":"[^"]*"}$/\3 \2 \1 0/p')
  [ $# -eq 4 ] && [ "$2" != "$3" ] && check_envelope "$work/document" application/vnd.zaigang.handover.v1+json "$2" "$3" ||
    stop "a handover in the trust file is not signed by both of its keys"
  echo "$1 $2 $3 ${4%null}" >>"$work/handed"
done <"$work/documents"
awk '!seen[$1, $2, $3]++' "$work/handed" >"$work/once" && mv "$work/once" "$work/handed" # whoever names one twice
[ -z "$(awk '{print $1, $2}' "$work/handed" | sort | uniq -d)" ] || stop "a key is handed over twice in the trust file"
awk '{after[$1 " " $2] = $1 " " $3} END {for (key in after) {at = key; steps = 0
  while (at in after) {at = after[at]; if (++steps > NR) exit 1}}}' "$work/handed" || stop "a key that was handed over comes back"
over_time() { # PURPOSE KEY…: the keys, and those that documents connect with them
  purpose=$1 found=
  shift
  for more; do found="$found $more "; done
  before=
  while [ "$before" != "$found" ]; do
    before=$found
    while read -r what old new _; do
      [ "$what" = "$purpose" ] || continue
      case $found in *" $old "* | *" $new "*) ;; *) continue ;; esac
      case $found in *" $old "*) ;; *) found="$found $old " ;; esac
      case $found in *" $new "*) ;; *) found="$found $new " ;; esac
    done <"$work/handed"
  done
  printf '%s\n' "$found"
}
counts() { # PURPOSE KEY SIZE: the key was not handed over, or not before the ledger had so many entries
  awk -v p="$1" -v k="$2" -v s="$3" '$1 == p && $2 == k && s + 0 > $4 + 0 {exit 1}' "$work/handed"
}
vkey_text() { # VKEY: the same key as text
  printf 'ed25519:%s' "$({ unhex 302a300506032b6570032100; rest=${1#*+}; unbase "${rest#*+}" | tail -c 32; } | tobase)"
}
vkey_of() { # NAME KEY-TEXT: the log's verifier key
  { printf '\001'; unbase "${2#*:}" | tail -c 32; } >"$work/vkey"
  printf '%s+%s+%s' "$1" "$({ printf '%s\n' "$1"; cat "$work/vkey"; } | openssl dgst -sha256 -r | cut -c1-8)" "$(tobase <"$work/vkey")"
}
vkey_id() { # VKEY: the id that its name and key give
  rest=${1#*+}
  { printf '%s\n' "${1%%+*}"; unbase "${rest#*+}"; } | openssl dgst -sha256 -r | cut -c1-8
}
others=
for log in $log_keys $witness_keys; do
  rest=${log#*+}
  [ "${rest%%+*}" = "$(vkey_id "$log")" ] || stop "a verifier key in the trust file was mistyped"
  case "${rest#*+}" in A*) ;; B*) others="$others $log" ;; *) stop "a verifier key in the trust file is of no known type" ;; esac
done
[ "$(set -- $others; echo $#)" = "$(set -- $witness_keys; echo $#)" ] || stop "a log's key is no witness in the trust file, nor a witness's a log's"
if grep -q "^\\.witnesses$tab{" "$work/trust"; then
  [ -n "$witness_keys" ] && [ -n "$quorum" ] && [ "$quorum" -le "$(set -- $witness_keys; echo $#)" ] ||
    stop "the trust file wants more witnesses than it names, or names none, or no quorum"
  {
    for log in $log_keys; do vkey_text "$log"; echo; done | sort -u
    for log in $witness_keys; do vkey_text "$log"; echo; done
  } | sort | uniq -d | grep -q . &&
    stop "a witness in the trust file has the key of another, or the ledger's"
fi
receipt_keys=$(over_time receipt $receipt_keys)
named= name=${log_keys%%+*}
for log in $log_keys; do named="$named $(vkey_text "$log")"; done
for key in $(over_time checkpoint $named); do
  case " $named " in *" $key "*) ;; *) log_keys="$log_keys $(vkey_of "$name" "$key")" ;; esac
done
pinned_keys() { # DEVICE: what the reader pinned; of the collector also what handovers connect with that
  case $1 in collector) printf %s "$own_keys" ;; *) sed -n "s/^$1 //p" "$work/pinned" | tr '\n' ' ' ;; esac
}
own_keys=$(over_time statement $(sed -n 's/^collector //p' "$work/pinned" | tr '\n' ' '))
among() { # WORD LIST
  case " $2 " in *" $1 "*) return 0 ;; esac
  return 1
}

# --- the ZIP: what unzip finds in it, written again, must be the file byte for byte

[ "$(head -c 4 "$bundle" | od -An -tx1 | tr -d ' \n')" = 504b0304 ] ||
  { fail not_a_bundle "the file does not begin as a bundle does"; finish; }
# Nothing is unpacked that could be more than the file itself: each entry is stored, has a name that a bundle may have,
# and all of them fit into the file.
path_form='[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?(/[A-Za-z0-9_][A-Za-z0-9._-]*)?(/[A-Za-z0-9_][A-Za-z0-9._-]*)?'
unzip -qqv "$bundle" >"$work/listing" 2>/dev/null || { fail not_canonical_zip "unzip cannot read its list of files"; finish; }
awk -v form="^$path_form\$" -v whole="$(($(wc -c <"$bundle")))" '
  NF != 8 || $2 != "Stored" || $1 != $3 || $8 !~ form || length($8) > 200 || (all += $1) > whole {bad = 1; exit}
  {print $1, $7, $8}
  END {exit bad || NR == 0}' "$work/listing" >"$work/list" ||
  { fail not_canonical_zip "an entry is not stored, larger than the file, or has a name that no bundle has"; finish; }
if ! unzip -tqq "$bundle" >/dev/null 2>&1 || ! unzip -qq -n -d "$work/files" "$bundle" </dev/null >/dev/null 2>&1; then
  fail not_canonical_zip "unzip cannot read it whole"
  finish
fi
offset=0 count=0
: >"$work/zip"
: >"$work/central"
while read -r size crc name; do
  file="$work/files/$name"
  [ -f "$file" ] || { fail not_canonical_zip "$name cannot be unpacked"; finish; }
  same=$(unhex 00000000000021 | od -An -tx1 | tr -d ' \n') # no flags, stored, 1980-01-01
  sizes=$(printf %08x "0x$crc" | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/')
  sizes=$sizes$(little "$size" 4 | od -An -tx1 | tr -d ' \n')$(little "$size" 4 | od -An -tx1 | tr -d ' \n')
  length=$(little ${#name} 2 | od -An -tx1 | tr -d ' \n')
  { unhex "504b03041400${same}00${sizes}${length}0000"; printf %s "$name"; cat "$file"; } >>"$work/zip"
  {
    unhex "504b010214031400${same}00${sizes}${length}00000000000000000000a481"
    little "$offset" 4
    printf %s "$name"
  } >>"$work/central"
  offset=$((offset + 30 + ${#name} + size)) count=$((count + 1))
done <"$work/list"
central=$(($(wc -c <"$work/central")))
{
  cat "$work/central"
  unhex 504b050600000000
  little "$count" 2
  little "$count" 2
  little "$central" 4
  little "$offset" 4
  unhex 0000
} >>"$work/zip"
cmp -s "$work/zip" "$bundle" || fail not_canonical_zip "the file is not the one ZIP that its contents have"

# --- seal, manifest, files

cd "$work/files" || exit 2
for name in manifest.json seal.json; do
  [ -f "$name" ] || { fail file_missing "the bundle has no $name"; finish; }
done
[ "$(awk 'NR <= 2 {printf "%s ", $3}' "$work/list")" = "manifest.json seal.json " ] ||
  fail not_canonical_zip "a bundle begins with manifest.json and seal.json"
awk 'NR > 2 {print $3}' "$work/list" >"$work/held"
sort -cu "$work/held" 2>/dev/null || fail not_canonical_zip "the files do not stand in the order of their names"
why=unknown_key sealed=
for key in $receipt_keys; do
  if check_envelope seal.json application/vnd.zaigang.bundle.v1+json "$key"; then sealed=$key; break; fi
done
if [ -z "$sealed" ]; then
  fail "$why" "seal.json: the collector's signature does not stand"
elif [ "$(cat "$work/payload")" != "{\"manifest\":\"$(sha manifest.json)\",\"origin\":\"$origin\",\"v\":1}" ]; then
  fail invalid_seal "seal.json is for another manifest or ledger"
fi
no_nul() { # FILE: it has no zero byte, which a shell would pass over
  tr -d '\000' <"$1" | cmp -s - "$1"
}
days_exist() { # times, one a line: the calendar has each
  awk -F'[-T]' '{days = 31 - ($2 == 4 || $2 == 6 || $2 == 9 || $2 == 11)
    if ($2 == 2) days = 28 + ($1 % 4 == 0 && $1 % 100 != 0 || $1 % 400 == 0)
    if ($1 < 1 || $2 < 1 || $2 > 12 || $3 < 1 || $3 > days) exit 1}'
}
numbers_safe() { # whole numbers, one a line: none is beyond what every program reads alike
  awk 'length($0) > 16 || length($0) == 16 && $0 "" > "9007199254740991" {exit 1}'
}
fields='s/^{"chains":\[\(.*\)\],"files":\[\(.*\)\],"keys":\[\(.*\)\],"made_at":"\([^"]*\)","origin":"\([^"]*\)","revocations":\[\(.*\)\],"scope":{\(.*\)},"v":1}$'
part() { { sed -n "$fields/\\$1/p" manifest.json; echo; } | sed '/^$/d'; } # the file has no line feed at its end
objects() { part "$1" | sed 's/},{/}\
{/g'; } # one object a line
no_nul manifest.json || { fail not_json "manifest.json has a zero byte"; finish; }
if [ "$(wc -l <manifest.json)" -ne 0 ] || [ -z "$(part 2)" ]; then
  fail invalid_manifest "manifest.json cannot be read"
  finish
fi
# Every member is one that a manifest has, in its form: what is passed over here could be what hides something.
number='(0|[1-9][0-9]{0,15})' name='[a-z0-9][a-z0-9-]{0,47}' time='[0-9]{4}-[01][0-9]-[0-3][0-9]T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z'
code='"([^" \\/+#[:cntrl:]]|\\["\\])(([^"\\/+#[:cntrl:]]|\\["\\]){0,254}([^" \\/+#[:cntrl:]]|\\["\\]))?"'
unlike() { # PART FORM: a line of this part has another form
  objects "$1" | grep -Evqx "$2"
}
{ part 7 | grep -Eqx "\"since\":\"$time\",\"site\":(null,\"until\":\"$time\",\"worker\":$code|\"$name\",\"until\":\"$time\",\"worker\":null)"; } &&
  ! unlike 1 "\{\"chain\":\"[0-9a-f]{32}\",\"device\":\"$name\",\"head_hash\":\"[0-9a-f]{64}\",\"head_seq\":$number\}" &&
  ! unlike 2 "\{\"name\":\"$path_form\",\"sha256\":\"[0-9a-f]{64}\",\"size\":$number\}" &&
  ! unlike 3 "\{\"added_at\":\"$time\",\"chain\":(null|\"[0-9a-f]{32}\"),\"device\":\"$name\",\"first_seq\":$number,\"key\":\"($key_text)\",\"last_seq\":(null|$number)\}" &&
  ! unlike 6 "\{\"at\":\"$time\",\"device\":\"$name\",\"from_index\":$number\}" &&
  part 4 | grep -Eqx "$time" &&
  grep -Eo "\"(added_at|at|made_at|since|until)\":\"$time" manifest.json | sed 's/.*"//' | days_exist &&
  grep -Eo '":[0-9]+[,}]' manifest.json | tr -d '":,}' | numbers_safe &&
  part 7 | sed 's/^"since":"\([^"]*\)".*"until":"\([^"]*\)",.*/\1\
\2/' | sort -cu 2>/dev/null &&
  objects 2 | sed 's/^{"name":"\([^"]*\)".*/\1/' | sort -cu 2>/dev/null &&
  ! objects 2 | grep -Eq '^\{"name":"(manifest|seal)\.json"' &&
  objects 2 | awk '{split($0, word, "\""); if (length(word[4]) > 200) exit 1}' &&
  objects 1 | sed 's/^{"chain":"\([^"]*\)","device":"\([^"]*\)".*/\2 \1/' | sort -cu 2>/dev/null ||
  { fail invalid_manifest "manifest.json has something that no manifest has, or in another form"; finish; }
[ "$(part 5)" = "$origin" ] || fail wrong_origin "the bundle is of the ledger $(part 5), you trust $origin"
objects 2 | sed -n 's/^{"name":"\([^"]*\)","sha256":"\([0-9a-f]*\)","size":\([0-9]*\)}$/\1 \2 \3/p' >"$work/named"
cut -d' ' -f1 "$work/named" >"$work/names"
for name in $(sort "$work/names" "$work/held" "$work/held" | uniq -u | tr '\n' ' '); do
  fail file_missing "the manifest names $name, the bundle does not have it"
done
for name in $(sort "$work/names" "$work/names" "$work/held" | uniq -u | tr '\n' ' '); do
  fail file_extra "the manifest does not name $name"
done
while read -r name digest size; do
  [ ! -f "$name" ] || { [ "$(sha "$name")" = "$digest" ] && [ "$(($(wc -c <"$name")))" -eq "$size" ]; } ||
    fail file_changed "$name is not the file that the manifest names"
done <"$work/named"
for name in policies/*; do
  [ ! -f "$name" ] || [ "$name" = "policies/$(sha "$name").json" ] || fail policy_changed "$name has another hash"
done
objects 1 | sed -n 's/^{"chain":"\([0-9a-f]*\)","device":"\([a-z0-9-]*\)","head_hash":"\([0-9a-f]*\)","head_seq":\([0-9]*\)}$/\2 \1 \4 \3/p' >"$work/chains"
objects 3 | sed -n 's/^{"added_at":"[^"]*","chain":"\{0,1\}\([a-z0-9]*\)"\{0,1\},"device":"\([a-z0-9-]*\)","first_seq":\([0-9]*\),"key":"\([^"]*\)","last_seq":\([a-z0-9]*\)}$/\2 \1 \3 \5 \4/p' >"$work/keys"
objects 6 | sed -n 's/^{"at":"[^"]*","device":"\([a-z0-9-]*\)","from_index":\([0-9]*\)}$/\1 \2/p' >"$work/revoked"
scope=$(part 7)
while read -r name; do # nothing that no bundle has
  case $name in
    README.en.txt | README.zh.txt | checkpoints/first | checkpoints/last | checkpoints/consistency | checkpoints/seen) ;;
    policies/* | timestamps/* | not-authoritative/*) ;;
    chains/*) awk -v n="$name" '{f = "chains/" $1 "/" $2; if (n == f ".index" || n == f ".jsonl") found = 1} END {exit !found}' "$work/chains" ||
      fail file_extra "no chain of the manifest has the file $name" ;;
    *) fail file_extra "no bundle has a file $name" ;;
  esac
done <"$work/names"

key_for() { # DEVICE CHAIN SEQ: the key that counts; one for exactly this chain goes first, then the last in the list
  awk -v d="$1" -v c="$2" -v s="$3" '$1 == d && ($2 == c || $2 == "null") && s + 0 >= $3 && ($4 == "null" || s + 0 <= $4) {
    if (best == "" || $2 != "null" || any) { best = $5; any = ($2 == "null") } } END {print best}' "$work/keys"
}

# --- checkpoints

signature="— [^ +]+ $b64{4}(($b64{4})+($b64[AQgw]==|$b64{2}[AEIMQUYcgkosw048]=)?|$b64{2}[AEIMQUYcgkosw048]=)"
# Splits the note $1 into $work/$2 and $work/$2.sigs, at its last empty line.
split_note() {
  rm -f "$work/$2" "$work/$2.sigs"
  awk '{line[NR] = $0} $0 == "" {gap = NR} END {for (at = 1; at <= NR; at++) if (at != gap) print line[at] > (at < gap ? text : sigs)}' \
    text="$work/$2" sigs="$work/$2.sigs" "$1" 2>/dev/null
  [ -f "$work/$2" ] && [ -f "$work/$2.sigs" ] && { cat "$work/$2"; echo; cat "$work/$2.sigs"; } | cmp -s - "$1" || return 1
  ! grep -Evqx "$signature" "$work/$2.sigs" && [ "$(wc -l <"$work/$2.sigs")" -le 100 ] || return 1
  tr -d '\000-\011\013-\037' <"$1" | cmp -s - "$1"
}
# Splits the note $1 and leaves the checkpoint's size and root in $size $root.
read_note() {
  split_note "$1" "$2" || return 1
  size=$(sed -n 2p "$work/$2") root=$(sed -n 3p "$work/$2")
  printf %s "$size" | grep -Eqx '0|[1-9][0-9]{0,17}' && printf %s "$root" | grep -Eqx "$b64{42}[AEIMQUYcgkosw048]="
}
# Checks that the C2SP verifier key $1 signed the note $2 (split before): 0 signed, 1 did not sign, 2 a false signature.
note_signed() {
  vname=${1%%+*} rest=${1#*+}
  vid=${rest%%+*}
  unbase "${rest#*+}" >"$work/vkey"
  type=$(head -c 1 "$work/vkey" | od -An -tx1 | tr -d ' \n')
  [ "$({ printf '%s\n' "$vname"; cat "$work/vkey"; } | openssl dgst -sha256 -r | cut -c1-8)" = "$vid" ] || return 1
  text=ed25519:$({ unhex 302a300506032b6570032100; tail -c +2 "$work/vkey"; } | tobase)
  state=1
  while read -r dash who data; do
    [ "$dash" = "—" ] && [ "$who" = "$vname" ] || continue
    unbase "$data" >"$work/line"
    [ "$(head -c 4 "$work/line" | od -An -tx1 | tr -d ' \n')" = "$vid" ] || continue
    if [ "$type" = 01 ]; then
      tail -c +5 "$work/line" >"$work/sig"
      cp "$work/$2" "$work/message"
    else
      seconds=$(printf %d "0x$(tail -c +5 "$work/line" | head -c 8 | od -An -tx1 | tr -d ' \n')")
      tail -c +13 "$work/line" >"$work/sig"
      { printf 'cosignature/v1\ntime %s\n' "$seconds"; cat "$work/$2"; } >"$work/message"
    fi
    check_signature "$text" "$work/sig" "$work/message" || return 2
    state=0
  done <"$work/$2.sigs"
  return $state
}
log_signed() { # NAME: a key of the ledger signed the note that was split, whatever it says
  for log in $log_keys; do
    note_signed "$log" "$1"
    case $? in 0) return 0 ;; 2) return 1 ;; esac
  done
  return 1
}
check_note() { # FILE NAME: a checkpoint of the origin signed by one of the log's keys
  [ -f "$1" ] || { fail file_missing "the bundle has no $1"; return 1; }
  read_note "$1" "$2" || { fail invalid_checkpoint "$1 is no checkpoint"; return 1; }
  [ "$(sed -n 1p "$work/$2")" = "$origin" ] || { fail wrong_origin "$1 is of another ledger"; return 1; }
  for log in $log_keys; do
    note_signed "$log" "$2"
    case $? in
      0)
        counts checkpoint "$text" "$size" && return 0
        fail retired_key "$1: the ledger's key was handed over before it had $size entries"
        return 1
        ;;
      2) fail bad_signature "$1: the ledger's signature is false"; return 1 ;;
    esac
  done
  fail unknown_key "$1 is not signed by the ledger"
  return 1
}

[ -f checkpoints/consistency ] || fail file_missing "the bundle has no checkpoints/consistency"
first_good=
if check_note checkpoints/first first; then first_good=yes first_size=$size first_root=$root; fi
check_note checkpoints/last last || finish
tree_size=$size tree_root=$root
[ -z "$sealed" ] || counts receipt "$sealed" "$tree_size" ||
  fail retired_key "seal.json: the key was handed over before the ledger had $tree_size entries"
if [ -n "$quorum" ]; then
  seen=0
  for witness in $witness_keys; do
    note_signed "$witness" last
    case $? in
      0) seen=$((seen + 1)) ;;
      2) fail bad_signature "checkpoints/last: a witness's signature is false"; finish ;;
    esac
  done
  [ "$seen" -ge "$quorum" ] || { fail missing_cosignatures "$seen witnesses cosigned, you want $quorum"; finish; }
fi

# RFC 9162 section 2.1.4.2
check_consistency() { # SIZE ROOT PROOF: the last checkpoint grew from this one; the proof's hashes parted by spaces
  first_size=$1 first_root=$2 proof=$3
  [ "$first_size" -le "$tree_size" ] || return 1
  if [ "$first_size" -eq "$tree_size" ] || [ "$first_size" -eq 0 ]; then
    [ -z "$proof" ] || return 1
    [ "$first_size" -eq 0 ] && { [ "$first_root" = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" ]; return; }
    [ "$first_root" = "$tree_root" ]
    return
  fi
  [ $((first_size & (first_size - 1))) -ne 0 ] || proof="$first_root $proof"
  place=$((first_size - 1)) last=$((tree_size - 1))
  while [ $((place & 1)) -eq 1 ]; do place=$((place >> 1)) last=$((last >> 1)); done
  old=
  for hash in $proof; do
    if [ -z "$old" ]; then old=$hash new=$hash; continue; fi
    [ "$last" -ne 0 ] || return 1
    if [ $((place & 1)) -eq 1 ] || [ "$place" -eq "$last" ]; then
      old=$(node "$hash" "$old") new=$(node "$hash" "$new")
      while [ "$place" -ne 0 ] && [ $((place & 1)) -eq 0 ]; do place=$((place >> 1)) last=$((last >> 1)); done
    else
      new=$(node "$new" "$hash")
    fi
    place=$((place >> 1)) last=$((last >> 1))
  done
  [ "$last" -eq 0 ] && [ "$old" = "$first_root" ] && [ "$new" = "$tree_root" ]
}
if [ -f checkpoints/consistency ]; then
  if [ -s checkpoints/consistency ] && [ "$(tail -c 1 checkpoints/consistency | od -An -tx1 | tr -d ' ')" != 0a ]; then
    fail invalid_proof "checkpoints/consistency is cut off"
    first_good=
  elif ! no_nul checkpoints/consistency || grep -Evqx "$b64{42}[AEIMQUYcgkosw048]=" checkpoints/consistency; then
    fail invalid_checkpoint "checkpoints/consistency has a line that is no hash"
    first_good=
  fi
fi
[ -z "$first_good" ] || [ ! -f checkpoints/consistency ] ||
  check_consistency "$first_size" "$first_root" "$(tr '\n' ' ' <checkpoints/consistency)" ||
  fail consistency_failed "the last checkpoint did not grow from the first"

# RFC 9162 section 2.1.3.2: LEAF INDEX PROOF…
check_inclusion() {
  hash=$1 place=$2 last=$((tree_size - 1))
  shift 2
  [ "$place" -le "$last" ] || return 1
  for one; do
    [ "$last" -ne 0 ] || return 1
    if [ $((place & 1)) -eq 1 ] || [ "$place" -eq "$last" ]; then
      hash=$(node "$one" "$hash")
      while [ "$place" -ne 0 ] && [ $((place & 1)) -eq 0 ]; do place=$((place >> 1)) last=$((last >> 1)); done
    else
      hash=$(node "$hash" "$one")
    fi
    place=$((place >> 1)) last=$((last >> 1))
  done
  [ "$last" -eq 0 ] && [ "$hash" = "$tree_root" ]
}

# --- chains

digest="$b64{42}[AEIMQUYcgkosw048]="
flags='(-|late:[a-z][a-z_]{0,39}|after_revocation(,late:[a-z][a-z_]{0,39})?)'
arrived='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z'
lines="event $number $number [0-9a-f]{32} $arrived $flags( $digest){0,64}|outside $number $number [0-9a-f]{64}"
lines="$lines|withheld $number [0-9a-f]{64}|erased $number $number $digest [0-9a-f]{64} $number( $digest){0,64}|missing $number $number $number"
: >"$work/leaves"
: >"$work/brought"
: >"$work/holes"
: >"$work/collector"
: >"$work/stated"
: >"$work/carried"
row_carried=0
: >"$work/approved"

# Writes the payload's own fields and those of its body into $work/fields, one a line: event or body, the name, the value
# as it is written, parted by tabs. What stands deeper is nobody's field, however it is called: {} in its place.
split_payload() {
  [ "$(wc -l <"$work/payload")" -eq 0 ] || return 1
  { sed -E 's/"([^"\\]|\\.)*"/\
&\
/g' "$work/payload"; echo; } | awk '
    function counts() {return depth == 1 || depth == 2 && inside}
    /^"/ {text = $0; if (counts()) value[depth] = $0; next}
    {
      for (at = 1; at <= length($0); at++) {
        letter = substr($0, at, 1)
        if (letter == ":" && counts()) {name[depth] = substr(text, 2, length(text) - 2); value[depth] = ""}
        else if (letter == "{" || letter == "[") {
          if (depth == 1) inside = (letter == "{" && name[1] == "body")
          if (counts()) value[depth] = "{}"
          depth++
        } else if (letter ~ /[],}]/) {
          if (letter != "]" && counts() && name[depth] != "") {
            if (there[depth, name[depth]]++) exit 1
            print (depth == 1 ? "event" : "body") "\t" name[depth] "\t" value[depth]
            name[depth] = ""
          }
          if (letter != ",") depth--
        } else if (counts()) value[depth] = value[depth] letter
      }
    }' >"$work/fields"
}
these() { # event|body NAME…: their values as they are written, parted by spaces; - for none
  scope_now=$1
  shift
  awk -F'\t' -v scope="$scope_now" -v names="$*" '$1 == scope {held[$2] = $3} END {
    count = split(names, name, " ")
    for (at = 1; at <= count; at++) printf "%s%s", (name[at] in held ? held[name[at]] : "-"), (at < count ? " " : "\n")}' "$work/fields"
}
text_of() { these "$1" "$2" | sed -n 's/^"\(.*\)"$/\1/p'; } # event|body NAME: a text without its quotes
field() {
  these event boot chain device kind mono_us prev seq |
    sed -nE 's/^"[0-9a-f]+" "[0-9a-f]+" "[a-z0-9-]+" "[a-z_.]+" [0-9]+ (null|"[0-9a-f]+") [0-9]+$/&/p' | tr -d '"'
}

check_event() { # SEQ LEAF_INDEX SALT RECEIVED FLAGS PROOF…: the next line of the chain's envelopes
  seq=$1 leaf_index=$2 salt=$3 marks=$5
  shift 5
  IFS= read -r line <&3 || { fail invalid_index "$place_name: no envelope for seq $seq"; prev= same=; return; }
  [ ${#line} -le 65536 ] || { fail too_large "$place_name seq $seq: an envelope has at most 65,536 bytes"; prev= same= shown=$((shown + 1)); return; }
  printf %s "$line" >"$work/envelope"
  shown=$((shown + 1)) before=$prev was=$same
  prev= same=
  key=$(key_for "$device" "$chain" "$seq")
  [ -n "$key" ] || { fail unknown_key "$place_name seq $seq: the manifest names no key"; return; }
  if [ -z "$current" ]; then
    pinned=$(pinned_keys "$device")
    [ -z "$pinned" ] || among "$key" "$pinned" || { fail unknown_key "$place_name seq $seq: not a key that you trust"; return; }
  elif [ "$key" != "$current" ]; then
    fail unknown_key "$place_name seq $seq: nothing hands the chain over to this key"
    return
  fi
  next_key=
  case "$device $line" in
    'collector '* | *'},{"keyid":'*)
      sed 's/^{"payload":"\([^"]*\)".*/\1/' "$work/envelope" | openssl base64 -d -A >"$work/payload"
      split_payload && if hands_over; then
        next_key=$(text_of body new)
        [ "$(text_of body old)" = "$key" ] && printf %s "$next_key" | grep -Eqx "$key_text" ||
          { fail invalid_body "$place_name seq $seq: the rotation names another key as the one before, or none after"; return; }
        [ "$next_key" != "$key" ] ||
          { fail signature_count "$place_name seq $seq: a key is not handed over to itself"; return; }
      elif [ "$device" != collector ] && [ "$(text_of event kind)" = device.key_rotated ]; then
        rotation_names || return
      fi
      ;;
  esac
  type=event begins=device.enrolled
  [ "$device" != collector ] || type=statement begins=collector.begun
  check_envelope "$work/envelope" "application/vnd.zaigang.$type.v1+json" "$key" $next_key ||
    { fail "$why" "$place_name seq $seq: the envelope does not stand"; return; }
  hash_now=$(sha "$work/pae")
  split_payload || { fail invalid_event "$place_name seq $seq: the payload is no event"; return; }
  # shellcheck disable=SC2046  # words
  set -- $(field) -- "$@"
  [ $# -ge 8 ] || { fail invalid_event "$place_name seq $seq: the payload is no event"; return; }
  boot=$1 of_chain=$2 of_device=$3 kind_now=$4 mono=$5 named_prev=$6 of_seq=$7
  shift 8
  [ "$of_device $of_chain" = "$device $chain" ] || { fail wrong_chain "$place_name seq $seq belongs elsewhere"; return; }
  [ "$of_seq" = "$seq" ] || { fail invalid_index "$place_name: the event is seq $of_seq, the index says $seq"; return; }
  rotates=
  if [ "$device" != collector ] && [ "$kind_now" = device.key_rotated ] || hands_over; then rotates=yes; fi
  if [ -n "$rotates" ] && [ -z "$next_key" ]; then
    [ "$device" = collector ] || rotation_names || return
    fail signature_count "$place_name seq $seq: a rotation is signed by both keys"
    return
  elif [ -z "$rotates" ] && [ -n "$next_key" ]; then
    fail signature_count "$place_name seq $seq: only a rotation has two signatures"
    return
  fi
  if [ "$device" = collector ] && [ -n "$rotates" ] && [ "$(key_for "$device" "$chain" $((seq + 1)))" != "$next_key" ]; then
    fail unknown_key "$place_name seq $seq hands over to another key than the manifest names"
    return
  fi
  current=${next_key:-$key}
  printf '%s %s\n%s %s\n' "$device" "$key" "$device" "$current" >>"$work/brought"
  prev=$hash_now same=yes
  printf '%s %s\n' "$seq" "$hash_now" >>"$work/hashes"
  events=$((events + 1))
  if [ "$device" = collector ]; then
    range=
    [ "$kind_now" != gap.declared ] || range=" $(these body device chain first last next_prev |
      sed -nE 's/^"[a-z0-9-]+" "[0-9a-f]+" [0-9]+ [0-9]+ "[0-9a-f]+"$/&/p' | tr -d '"')"
    [ "$kind_now" != worker.erasure ] || range=" $(these body entries | grep -Ex '[0-9]+')"
    printf '%s %s%s\n' "$leaf_index" "$kind_now" "$range" >>"$work/collector"
    case $kind_now in
      device.revoked) these body device from_index | sed -n 's/^"\([a-z0-9-]*\)" /\1 /p' >>"$work/stated" ;;
      device.approved) these body device key | sed -n '/ null$/d; / -$/d; s/^"\([a-z0-9-]*\)" "\{0,1\}\([^"]*\)"\{0,1\}$/\1 \2/p' >>"$work/approved" ;;
    esac
  fi
  leaf=$({ unhex "$salt"; cat "$work/envelope"; } | openssl dgst -sha256 -binary | { printf '\000'; cat; } | openssl dgst -sha256 -binary | tobase)
  take_leaf "$leaf_index" "$leaf" "$@"
  [ "$device" != collector ] || [ -z "$own_keys" ] || check_own_key
  if [ "$seq" -eq 0 ]; then
    [ "$named_prev" = null ] && [ "$kind_now" = "$begins" ] || fail bad_start "$place_name does not begin as a chain"
    [ "$device" = collector ] || [ "$(text_of body key)" = "$key" ] || fail bad_start "$place_name: the first event names another key"
  elif [ -n "$before" ] && [ "$named_prev" != "$before" ]; then
    fail broken_link "$place_name seq $seq does not follow the event before it"
  elif [ "$boot" = "$last_boot" ] && [ "$mono" -lt "$last_mono" ]; then
    fail monotonic_regression "$place_name seq $seq was signed before an earlier event"
  fi
  last_boot=$boot last_mono=$mono
  check_meaning
}
rotation_names() { # the event in $work/fields is a terminal's rotation: sets the key after it, which the manifest must name, too
  next_key=$(text_of body key)
  [ "$(text_of body previous)" = "$key" ] && [ "$next_key" != "$key" ] && is_text reason 400 && printf %s "$next_key" | grep -Eqx "$key_text" ||
    { fail invalid_body "$place_name seq $seq: the rotation names another key as the one before, or none after"; return 1; }
  [ "$next_key" = "$(key_for "$device" "$chain" $((seq + 1)))" ] ||
    { fail invalid_body "$place_name seq $seq: the rotation leads to another key than the manifest names after it"; return 1; }
}
is_text() { # NAME MOST: this field of the body is a text of at most so many letters
  these body "$1" | grep -Eqx '"([^"\\]|\\.)*"' &&
    [ "$(text_of body "$1" | sed -E 's/\\(u[0-9a-f]{4}|.)/x/g' | tr -d '\200-\277\n' | wc -c)" -le "$2" ]
}
hands_over() { # the event in $work/fields is a rotation of the key that signs the collector's own chain
  [ "$device" = collector ] && [ "$(text_of event kind)" = collector.key_rotated ] && [ "$(text_of body purpose)" = statement ]
}
check_own_key() { # a statement stands where its key counted, as the reader's handovers say
  place=$(awk -v k="$key" '$1 == "statement" && $2 == k {print $4 + 0}' "$work/handed")
  if [ -z "$place" ] || ! among "$key" "$own_keys"; then
    return
  elif [ -z "$rotates" ]; then
    counts statement "$key" $((leaf_index + 1)) ||
      fail retired_key "$place_name seq $seq: the key was handed over at ledger entry $place"
  elif [ "$leaf_index" -ne "$place" ]; then
    fail key_history_mismatch "$place_name seq $seq hands over at ledger entry $leaf_index, both keys signed that entry $place does"
  else
    among "$next_key" "$own_keys" || fail unknown_key "$place_name seq $seq hands over to another key than your handovers lead to"
  fi
}
check_meaning() { # of the event in $work/payload
  revoked=$(awk -v d="$device" '$1 == d {print $2}' "$work/revoked" | sort -n | head -n 1)
  after=
  [ -z "$revoked" ] || [ "$leaf_index" -lt "$revoked" ] || after=yes
  case $marks in
    after_revocation*) [ -n "$after" ] || fail invalid_index "$place_name seq $seq is marked after_revocation" ;;
    *) [ -z "$after" ] || fail revocation_hidden "$place_name seq $seq came after the revocation, unmarked" ;;
  esac
  case $kind_now in
    coverage) carry checkpoint held ;;
    checkpoint.refused)
      carry held held
      carry shown refused
      ;;
    enclosure.opened) opening=$seq ;;
    enclosure.cleared) # one that cannot be read clears nothing
      [ "$(these body opening)" != "$opening" ] || ! is_text authorised_by 400 || ! is_text clearance 4096 ||
        [ -z "$(text_of body authorisation | grep -Ex '[0-9a-f]{32}')" ] || opening=
      ;;
    punch.recorded | punch.refused)
      policy=$(text_of body policy | grep -Ex '[0-9a-f]{64}')
      [ -z "$policy" ] || [ -f "policies/$policy.json" ] || fail policy_missing "$place_name seq $seq: its policy is not here"
      [ -z "$opening" ] || [ "$(text_of body verdict)" != verified ] ||
        fail verified_while_opened "$place_name seq $seq is verified although the enclosure was opened"
      ;;
  esac
}
carry() { # FIELD held|refused: a checkpoint in the event, as the ledger signed it
  text=$(text_of body "$1")
  [ -n "$text" ] || return 0
  row_carried=$((row_carried + 1))
  printf '%s\n' "$text" | awk '{gsub(/\\n/, "\n"); printf "%s", $0}' >"$work/carried.$row_carried"
  printf '%s %s %s %s %s\n' "$row_carried" "$device" "$seq" "$leaf_index" "$2" >>"$work/carried"
}
take_leaf() { # INDEX LEAF PROOF…
  [ "$1" -gt "$last_leaf" ] || fail ledger_order "$place_name seq $seq stands before an earlier event in the ledger"
  last_leaf=$1
  echo "$1" >>"$work/leaves"
  index_now=$1 leaf_now=$2
  shift 2
  check_inclusion "$leaf_now" "$index_now" "$@" ||
    fail inclusion_failed "$place_name seq $seq: the proof does not lead to the checkpoint"
}
check_chain() {
  folder=chains/$device/$chain place_name="$device $(printf %s "$chain" | cut -c1-8)"
  [ -f "$folder.index" ] && [ -f "$folder.jsonl" ] || { fail file_missing "$folder is not in the bundle"; return; }
  no_nul "$folder.jsonl" || { fail invalid_envelope "$folder.jsonl has a zero byte"; return; }
  if ! no_nul "$folder.index" || grep -Evqx "$lines" "$folder.index" || [ ! -s "$folder.index" ] || [ -n "$(tail -c 1 "$folder.index")" ] ||
    ! tr ' ' '\n' <"$folder.index" | grep -Ex '[0-9]{1,16}' | numbers_safe; then
    fail invalid_index "$folder.index cannot be read"
    return
  fi
  following=0 prev= same= current= opening= last_boot= last_mono=0 last_leaf=-1 shown=0 row=0
  rows=$(wc -l <"$folder.index")
  : >"$work/hashes"
  exec 3<"$folder.jsonl"
  while read -r word seq rest <&4; do
    row=$((row + 1)) end=$seq ends_with=$word
    case $word in outside | missing) end=${rest%% *} ;; esac
    check_line
    [ "$end" -lt "$following" ] || following=$((end + 1))
  done 4<"$folder.index"
  if IFS= read -r line <&3 || [ -n "$line" ]; then fail invalid_index "$folder.jsonl has more lines than the index"; fi
  exec 3<&-
  [ $((following - 1)) -eq "$head_seq" ] || fail head_mismatch "$place_name ends at another seq than the manifest says"
  [ "$ends_with" = missing ] || [ "$prev" = "$head_hash" ] || fail head_mismatch "$place_name ends with another event"
}
check_line() {
  if [ "$seq" -gt "$following" ]; then
    fail hidden_gap "$place_name: seq $following to $((seq - 1)) are neither shown nor accounted for"
    prev= same=
    [ "$word" != event ] || IFS= read -r line <&3
    return
  elif [ "$seq" -lt "$following" ]; then
    fail invalid_index "$place_name: seq $seq is accounted for twice"
    [ "$word" != event ] || IFS= read -r line <&3
    return
  fi
  # shellcheck disable=SC2086  # words
  case $word in
    event) check_event "$seq" $rest ;;
    outside)
      [ "$seq" -eq 1 ] || [ "$row" -eq "$rows" ] || fail hidden_gap "$place_name: seq $seq to $end are left out in the middle"
      [ "$end" -ge "$seq" ] || fail invalid_index "$place_name: a range ends before it begins"
      prev=${rest#* } same=
      ;;
    withheld)
      [ "$device" = collector ] || case $scope in *'"worker":null') fail hidden_gap "$place_name: seq $seq is withheld in a bundle about a site" ;; esac
      prev=$rest same=
      ;;
    erased)
      set -- $rest
      prev=$3 same=
      printf '%s worker.erasure %s %s %s %s %s\n' "$4" "$device" "$chain" "$seq" "$seq" "$1" >>"$work/holes"
      index_of=$1 leaf_of=$2
      shift 4
      take_leaf "$index_of" "$leaf_of" "$@"
      ;;
    missing)
      [ "$end" -ge "$seq" ] || fail invalid_index "$place_name: a range ends before it begins"
      prev= same=
      printf '%s gap.declared %s %s %s %s\n' "${rest#* }" "$device" "$chain" "$seq" "$end" >>"$work/holes"
      ;;
  esac
}
while read -r device chain head_seq head_hash; do
  check_chain
  cp "$work/hashes" "$work/hashes.$device.$chain" 2>/dev/null
done <"$work/chains"
[ -z "$(sort "$work/leaves" | uniq -d)" ] || fail ledger_order "two events claim one place of the ledger"
while read -r by wanted device chain seq end entry; do
  # A tombstone stands before the statement that let it go, which speaks of as many entries as name it.
  awk -v b="$by" -v w="$wanted" -v d="$device" -v c="$chain" -v s="$seq" -v e="$end" -v i="$entry" \
    -v t="$(grep -c "^$by worker.erasure " "$work/holes")" '$1 == b && $2 == w &&
    (w == "worker.erasure" ? $3 != "" && i + 0 < b + 0 && t + 0 <= $3 + 0 : ($3 == d && $4 == c && $5 <= s + 0 && e + 0 <= $6)) {found = 1} END {exit !found}' "$work/collector" ||
    { fail unauthorised "$device seq $seq: ledger entry $by does not authorise the hole"; continue; }
  awk -v b="$by" -v d="$device" -v c="$chain" -v e="$end" 'NR == FNR {if ($1 == d && $2 == c && $3 == e) head = $4; next}
    $1 == b && $2 == "gap.declared" && head != "" && $7 != head {bad = 1} END {exit bad}' "$work/chains" "$work/collector" ||
    fail head_mismatch "$device: the chain ends with a gap after which ledger entry $by expects another hash"
done <"$work/holes"

# --- the history of keys, as the collector stated it

concerns() { # DEVICE: a chain of it is in the bundle
  awk -v d="$1" '$1 == d {found = 1} END {exit !found}' "$work/chains"
}
while read -r device since; do
  grep -Fqx "$device $since" "$work/stated" && concerns "$device" ||
    fail revocation_mismatch "no statement of the collector in this bundle revokes $device from ledger entry $since on"
done <"$work/revoked"
while read -r device since; do
  grep -Fqx "$device $since" "$work/revoked" || ! concerns "$device" ||
    fail revocation_mismatch "the collector revokes $device from ledger entry $since on, the manifest does not say so"
done <"$work/stated"
while read -r device key; do
  awk -v d="$device" -v k="$key" '$1 == d && $3 == 0 && $5 == k {found = 1} END {exit !found}' "$work/keys" || ! concerns "$device" ||
    fail key_history_mismatch "the collector approves a key of $device that the manifest has not"
done <"$work/approved"

# --- what terminals saw of the ledger is the beginning of this one

seen_line="$number( $digest){0,64}"
if [ -f checkpoints/seen ] && { [ ! -s checkpoints/seen ] || grep -Evqx "$seen_line" checkpoints/seen ||
  [ -n "$(tail -c 1 checkpoints/seen)" ] || ! cut -d' ' -f1 checkpoints/seen | sort -nuc 2>/dev/null; }; then
  fail invalid_proof "checkpoints/seen cannot be read"
  : >"$work/carried"
fi
while read -r at device seq leaf_index how; do
  split_note "$work/carried.$at" seen && log_signed seen || { # a terminal can invent a note
    echo "Note: $(plain "$device seq $seq") carries a checkpoint that no key of the ledger signed; it says nothing about the ledger. 所带检查点并非账本所签。"
    continue
  }
  check_note "$work/carried.$at" seen || continue
  if [ "$size" -gt "$leaf_index" ]; then
    case $how in
      refused) fail split_view "$device seq $seq: the ledger signed $size entries without this event, entry $leaf_index here" ;;
      *) fail ledger_order "$device seq $seq: $size entries had been seen when entry $leaf_index was signed" ;;
    esac
    continue
  fi
  line=$(grep "^$size\( \|\$\)" checkpoints/seen 2>/dev/null) ||
    { fail checkpoint_unproved "$device seq $seq: the bundle does not prove that it grew from the $size entries seen"; continue; }
  proof=
  case $line in *' '*) proof="${line#* } " ;; esac
  check_consistency "$size" "$root" "$proof" ||
    fail split_view "$device seq $seq: the terminal holds the ledger's signature over $size other entries than are shown here"
done <"$work/carried"

# --- the worker's receipt

check_receipt() {
  [ "$(printf %s "$receipt" | wc -l)" -eq 0 ] && printf %s "$receipt" | grep -Eqx 'zaigang-receipt-v1/[a-z0-9-]{1,48}/[A-Za-z0-9_-]{22}/[0-9]{1,16}/[A-Za-z0-9_-]{43}/[0-9TZ:.-]{24}/[A-Za-z0-9_-]{86}' ||
    { fail receipt "the receipt cannot be read"; return; }
  statement=${receipt%/*}
  # shellcheck disable=SC2046  # words
  set -- $(printf %s "$receipt" | tr '/' ' ')
  device=$2 seq=$4 time=$6
  chain=$(unurl "$3==" | od -An -v -tx1 | tr -d ' \n') hash=$(unurl "$5=" | od -An -v -tx1 | tr -d ' \n')
  unurl "$7==" >"$work/receipt.sig"
  type=application/vnd.zaigang.punch-receipt.v1
  printf 'DSSEv1 %d %s %d %s' ${#type} "$type" ${#statement} "$statement" >"$work/receipt.pae"
  keys=$(pinned_keys "$device")
  [ -n "$keys" ] || keys=$(key_for "$device" "$chain" "$seq")
  [ -n "$keys" ] || { fail unknown_key "the manifest names no key for the receipt"; return; }
  keys="$keys $(sort -u "$work/brought" | sed -n "s/^$device //p" | tr '\n' ' ')" # and those that its chains brought
  good=
  for key in $keys; do
    if check_signature "$key" "$work/receipt.sig" "$work/receipt.pae"; then good=yes; break; fi
  done
  [ -n "$good" ] || { fail bad_signature "the receipt's signature does not stand"; return; }
  since=$(printf %s "$scope" | sed 's/.*"since":"\([^"]*\)".*/\1/') until=$(printf %s "$scope" | sed 's/.*"until":"\([^"]*\)".*/\1/')
  [ "$(printf '%s\n%s\n' "$since" "$time" | sort | head -n 1)" = "$since" ] && [ "$time" != "$until" ] &&
    [ "$(printf '%s\n%s\n' "$time" "$until" | sort | head -n 1)" = "$time" ] ||
    { fail receipt_mismatch "the receipt is of another time than the bundle"; return; }
  shown_hash=$(sed -n "s/^$seq //p" "$work/hashes.$device.$chain" 2>/dev/null)
  if [ -z "$shown_hash" ]; then
    fail omitted "$device signed on $time that event seq $seq exists; the bundle does not show it"
  elif [ "$shown_hash" != "$hash" ]; then
    fail fork "$device signed another event at seq $seq than is shown"
  else
    echo "The receipt holds: $(plain "$device seq $seq of $time"). 回执成立。"
  fi
}
unurl() { unbase "$(printf %s "$1" | tr '_-' '/+')"; }
[ -z "$receipt" ] || check_receipt
finish
