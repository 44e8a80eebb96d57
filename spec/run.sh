#!/bin/sh
# Runs specs against a build: run.sh BUILD_DIR PATHS...
# SAN=1 or SAN=thread says what the build was made with: a report of the sanitizer fails the run, wherever it comes from.
# OUTCOME=FILE: "passed failed pending" goes there too. LIMIT: seconds after which the run is given up.
set -u

build=$1
shift
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$top" || exit 1
case $build in /*) ;; *) build=$top/$build ;; esac

export TIDEGATE="$build/tidegate" TIDEGATE_LIB="$build/libtidegate.so"
export LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;"
outcome=${OUTCOME:-$build/outcome}
export OUTCOME="$outcome"
rm -f "$outcome"
[ $# -gt 0 ] || set -- spec

reports=$build/reports
preload=
case ${SAN:-} in
'') ;;
1)
    preload=$(gcc -print-file-name=libasan.so)
    # The runner itself is LuaJIT, whose states live until the end: leaks are looked for in the gateway only.
    asan="log_path=$reports/asan:strict_string_checks=1:detect_stack_use_after_return=1"
    export ASAN_OPTIONS="$asan:detect_leaks=0" TIDEGATE_ASAN_OPTIONS="$asan:detect_leaks=1"
    export UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1"
    export LSAN_OPTIONS="suppressions=$top/spec/leaks.supp:print_suppressions=0"
    ;;
thread)
    export TSAN_OPTIONS="log_path=$reports/tsan:halt_on_error=0:exitcode=0:second_deadlock_stack=1"
    ;;
*)
    echo "run.sh: SAN is 1 or thread, not \"$SAN\"" >&2
    exit 2
    ;;
esac
if [ -n "${SAN:-}" ]; then
    rm -rf "$reports"
    mkdir -p "$reports"
    chmod 1777 "$reports"       # a gateway that has changed its user writes here as well
    [ -n "${TIDEGATE_LUA:-}" ] || export TIDEGATE_LUA="$top/lua"
fi

if [ -n "$preload" ]; then
    timeout -k 10 "${LIMIT:-1800}" env LD_PRELOAD="$preload" luajit spec/run.lua "$@"
else
    timeout -k 10 "${LIMIT:-1800}" luajit spec/run.lua "$@"
fi
code=$?

passed=0 failed=0 pending=0 end=
[ ! -s "$outcome" ] || read -r passed failed pending end < "$outcome"
if [ "$end" != end ]; then
    echo "FAILED the run ended early (code $code$([ $code = 124 ] && echo ', over its time limit'))"
    failed=$((failed + 1))
fi
for report in "$reports"/*; do
    [ -s "$report" ] || continue
    failed=$((failed + 1))
    echo "FAILED a sanitizer complains, in $report:"
    head -n 60 "$report" | sed 's/^/    /'
done

echo "$passed $failed $pending" > "$outcome"
echo "specs: $passed passed, $failed failed, $pending pending"
[ "$failed" = 0 ]
