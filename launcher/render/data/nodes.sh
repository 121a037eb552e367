# Addresses of all pods of this group, the leader's first: FastDeploy compares its own with them, and
# takes no names. LeaderWorkerSet gives the leader's name; its service has it before a pod is ready.
# shellcheck shell=sh
addresses=
index=0
while [ "$index" -lt "${LWS_GROUP_SIZE:?}" ]; do
    host=${LWS_LEADER_ADDRESS:?}
    [ "$index" -eq 0 ] || host=${LWS_LEADER_ADDRESS%%.*}-$index.${LWS_LEADER_ADDRESS#*.}
    # Without an end: the startup probe ends it.
    until address=$(getent ahostsv4 "$host") && [ -n "$address" ]; do sleep 1; done
    addresses=${addresses:+$addresses,}${address%% *}
    index=$((index + 1))
done
exec ernie-deploy "$@" --set "engine-args.@OPTION@=$addresses"
