#!/bin/sh
# Three small upstreams on the ports 9001 to 9003 and a gateway before them. Ctrl-C ends all four.
# TIDEGATE=FILE: another binary. GATEWAY_PORT=8080
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
tidegate=${TIDEGATE:-$here/../../build/tidegate}
[ -x "$tidegate" ] || tidegate=$(command -v tidegate) || { echo "demo: there is no $tidegate: make" >&2; exit 1; }

RUN_DIR=$(mktemp -d) || exit 1
GATEWAY_PORT=${GATEWAY_PORT:-8080}
export RUN_DIR GATEWAY_PORT

pids=
last=
finish() {
    trap - EXIT INT TERM
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill $pids 2> /dev/null
    wait
    rm -rf "$RUN_DIR"
    exit "${1:-0}"
}
trap 'finish $?' EXIT
trap 'finish 0' INT TERM

start() { # name, configuration: returns when it accepts connections
    "$tidegate" run -c "$here/$2" > "$RUN_DIR/$1" 2>&1 &
    last=$!
    pids="$pids $last"
    while ! grep -q '^tidegate is ready' "$RUN_DIR/$1"; do
        kill -0 "$last" 2> /dev/null || { cat "$RUN_DIR/$1" >&2; exit 1; }
        sleep 0.05
    done
}

for PORT in 9001 9002 9003; do
    export PORT
    start "$PORT" upstream.yaml
    [ "$PORT" != 9001 ] || first=$last
    echo "upstream on 127.0.0.1:$PORT (pid $last)"
done
start gateway gateway.yaml
url=localhost:$GATEWAY_PORT
cat << END
gateway on $url (pid $last)

Try in another terminal:

  for i in 1 2 3 4 5 6; do curl -s $url; done
      in turn: 9001 9002 9003 9001 9002 9003
  for i in \$(seq 600); do curl -s $url/weighted; done | sort | uniq -c
      by weight 3:2:1: 300, 200 and 100
  kill $first
  for i in 1 2 3 4 5 6; do curl -s $url; done
      only 9002 and 9003, and no error

Ctrl-C ends all of them.
END
wait "$last"
exit $?
