set -u
profile='@NAME@'
name=$profile-${SLURM_ARRAY_TASK_ID:-0}
ernie=${ERNIE_DEPLOY:-ernie-deploy}
# The number of an array's last task is that of the whole array, so tasks are named by both.
job=$SLURM_JOB_ID
[ -z "${SLURM_ARRAY_TASK_ID:-}" ] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID

# The folder of endpoints is shared by all nodes: one file per replica with one line,
# `NAME HOST:PORT ADMIN_PORT`. `ernie-deploy door PROFILE --endpoints FOLDER --follow` has these
# replicas behind one address. ERNIE_ADDRESS is this node's, where its name is not the one to use.
endpoints=${ERNIE_ENDPOINTS:-$SLURM_SUBMIT_DIR/endpoints}
endpoint=$endpoints/$name

# State is on the node's own disk: a home directory is shared by all nodes, and the state of
# another machine is refused. Engines stay where they were installed.
engines=${ERNIE_ENGINES:-$HOME/.local/state/ernie-deploy/engines}
export ERNIE_DEPLOY_HOME=${TMPDIR:-/tmp}/ernie-deploy-$SLURM_JOB_ID
mkdir -p "$endpoints" || exit 3
(umask 077 && mkdir -p "$ERNIE_DEPLOY_HOME") || exit 3
[ ! -d "$engines" ] || ln -sfn "$engines" "$ERNIE_DEPLOY_HOME/engines"

"$ernie" up "$SLURM_SUBMIT_DIR/$profile.yaml" --foreground --name "$name" &
server=$!

stop() {
    trap '' TERM
    # The endpoint is withdrawn first, so that no new request comes while the others end.
    kill "$publisher" 2>/dev/null
    rm -f "$endpoint" "$endpoint.new"
    kill -TERM "$server" 2>/dev/null
    wait "$server"
    rm -rf "$ERNIE_DEPLOY_HOME"
}

# A job that was cancelled, or has lost its node, gets SIGTERM too and is not running any more: it
# must not come back by our doing.
requeue() {
    [ "$(squeue --noheader --jobs="$job" --format=%T)" != RUNNING ] || scontrol requeue "$job"
}

# The time is nearly over: make room, and come back. The exit code is not that of a failure.
# shellcheck disable=SC2317  # by the trap
drain() {
    stop
    requeue
    exit 0
}

publish() {
    "$ernie" wait "$name" --for ready --timeout @START@ || return
    "$ernie" status "$name" --json | python3 -c '
import json, sys
ports = json.load(sys.stdin)["data"]["instances"][0]["ports"]
print(sys.argv[1], sys.argv[2] + ":" + str(ports["api"]), ports["admin"])
' "$name" "${ERNIE_ADDRESS:-${SLURMD_NODENAME:-$(hostname)}}" \
        >"$endpoint.new" && mv -f "$endpoint.new" "$endpoint"
}
publish &
publisher=$!
trap drain TERM

# `wait` returns at a signal, after the trap; else the keeper has given up.
wait "$server"
code=$?
stop
case $code in
# A precondition, or a defect of ours: another node may be better.
3 | 70) requeue ;;
esac
exit "$code"
