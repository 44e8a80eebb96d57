#!/bin/sh
# Three small upstreams on the ports 9001 to 9003 and a gateway before them. Ctrl-C ends all four.
# Others: GATEWAY_PORT=8080 PORTS="9001 9002 9003" TIDEGATE=build/tidegate sh conf/demo/run.sh
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
tidegate=${TIDEGATE:-$here/../../build/tidegate}
[ -x "$tidegate" ] || tidegate=$(command -v tidegate) || { echo "demo: there is no $tidegate: make" >&2; exit 1; }

RUN_DIR=$(mktemp -d) || exit 1
GATEWAY_PORT=${GATEWAY_PORT:-8080}
# shellcheck disable=SC2086
set -- ${PORTS:-9001 9002 9003}
NODE_1=127.0.0.1:$1 NODE_2=127.0.0.1:$2 NODE_3=127.0.0.1:$3
export RUN_DIR GATEWAY_PORT NODE_1 NODE_2 NODE_3

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
    until grep -qs '^tidegate is ready' "$RUN_DIR/$1"; do
        state=Z
        read -r _ _ state _ 2> /dev/null < "/proc/$last/stat"
        [ "$state" != Z ] || { cat "$RUN_DIR/$1" >&2; exit 1; }
        sleep 0.05
    done
}

first=
for PORT; do
    export PORT
    start "$PORT" upstream.yaml
    first=${first:-$last}
    echo "upstream on 127.0.0.1:$PORT (pid $last)"
done
start gateway gateway.yaml
url=localhost:$GATEWAY_PORT
cat << END
gateway on $url (pid $last)

Try in another terminal:

  for i in 1 2 3 4 5 6; do curl -s $url; done
      in turn: $1 $2 $3 $1 $2 $3
  for i in \$(seq 60); do curl -s $url/weighted; done | sort | uniq -c
      by weight 3:2:1: 30, 20 and 10
  kill $first
  for i in 1 2 3 4 5 6; do curl -s $url; done
      only $2 and $3, and no error

Ctrl-C ends all of them.
END
wait "$last"
exit $?
