#!/bin/sh
# Fuzz targets: fuzz/run.sh "h1_request url" 60 runs each for 60 seconds and fails when one has a finding.
# Seeds are fuzz/corpus/NAME; what is found on the way stays in build/fuzz/corpus/NAME, findings in build/fuzz/findings.
set -eu
cd "$(dirname "$0")/.."
targets=$1
seconds=$2
out=build/fuzz
clang=${CLANG:-clang}
# Not pointer-overflow: clang also means NULL + 0 by it, which an empty slice may do (and C2y allows).
sanitize=address,undefined
spare=-fno-sanitize=pointer-overflow
flags="-std=c11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=undefined -pthread -Isrc
       -Ifuzz -I/usr/include/luajit-2.1 -DTIDEGATE_VERSION=\"fuzz\" -DTIDEGATE_SHARE=\"/usr/local/share/tidegate\""
libs="-lssl -lcrypto -lyaml -lluajit-5.1 -lm -ldl -pthread -lpcre2-8 -lz -lcares"

# build/fuzz/src/NAME.o for every file of the gateway but its main; all again when a header is newer.
compile() {
    object=$out/$(echo "$1" | sed 's/\.c$/.o/')
    [ -f "$object" ] && [ ! "$1" -nt "$object" ] && [ -z "$headers" ] && return
    mkdir -p "$(dirname "$object")"
    # shellcheck disable=SC2086
    "$clang" $flags -fsanitize=fuzzer-no-link,$sanitize $spare -c -o "$object" "$1"
}

make --no-print-directory -s build/cdef.c
mkdir -p "$out/findings"
[ -f "$out/built" ] || touch -d @0 "$out/built"
headers=$(find src -name '*.h' -newer "$out/built")
touch "$out/started"
objects=""
for file in src/base/*.c src/net/*.c src/http/*.c src/proxy/*.c src/lua/*.c src/run/*.c build/cdef.c; do
    compile "$file"
    objects="$objects $out/${file%.c}.o"
done
mv "$out/started" "$out/built"

for name in $targets; do
    # shellcheck disable=SC2086
    "$clang" $flags -fsanitize=fuzzer,$sanitize $spare -rdynamic -o "$out/$name" "fuzz/$name.c" $objects $libs
done
failed=0
for name in $targets; do
    mkdir -p "$out/corpus/$name"
    dictionary=""
    [ -f "fuzz/$name.dict" ] && dictionary="-dict=fuzz/$name.dict"
    echo "fuzz: $name, $seconds s"
    # shellcheck disable=SC2086
    if ! "$out/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$out/findings/$name-" $dictionary "$out/corpus/$name" "fuzz/corpus/$name" \
        >"$out/$name.log" 2>&1; then
        tail -60 "$out/$name.log"
        echo "fuzz: $name has a finding: $out/$name.log"
        failed=1
        continue
    fi
    grep -E "^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)" "$out/$name.log"
done
exit $failed
