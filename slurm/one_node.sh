#!/usr/bin/env bash
# A whole SLURM cluster on this machine, for tests and for trying things: munged, slurmctld and slurmd from Debian's
# packages (apt-get install slurmctld slurmd slurm-client munge), as root, without systemd, cgroups or accounting.
#
#   eval "$(slurm/one_node.sh start [STATE])"   bring it up, or find it running, and point this shell at it
#   slurm/one_node.sh status [STATE]            0 when jobs can run
#   slurm/one_node.sh stop [STATE]              cancel its jobs and end every process of it
#
# STATE is its folder: the argument, else LOOKALIKE_SLURM_STATE, else one below the system's temporary folder.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
readonly DEADLINE=60  # seconds for anything to come up or go away

verb="${1:-}"
state="${2:-${LOOKALIKE_SLURM_STATE:-${TMPDIR:-/tmp}/lookalike-slurm}}"
state="$(realpath -m "$state")"
export SLURM_CONF="$state/slurm.conf"

fail() { echo "one_node.sh: $*" >&2; exit 1; }

# within SECONDS COMMAND…: try until it succeeds or the time is over
within() {
  local end=$((SECONDS + $1)); shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# The process that a pid file names, if it lives; a daemon that ends takes its file along.
process_of() {
  local pid
  pid="$(cat "$1" 2>/dev/null)" || return 1
  [[ $pid =~ ^[0-9]+$ ]] && kill -0 "$pid" 2>/dev/null && echo "$pid"
}

alive() { process_of "$1" >/dev/null; }
gone() { ! kill -0 "$1" 2>/dev/null; }

# A node that takes jobs. `drain`, `down` and a star (no answer) are other words in the same place.
ready() {
  local found
  found="$(timeout 10 sinfo --noheader --format=%T 2>/dev/null | head -n 1)" || return 1
  [[ $found =~ ^(idle|mixed|allocated|completing)$ ]]
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))  # below the range that connections are given their own ports from
    (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

write_settings() {
  local cpus megabytes host
  cpus="$(nproc)"
  ((cpus > 1)) || cpus=2  # two jobs at once, whatever the machine has
  megabytes="$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) / 1024 - 64))"
  host="$(hostname -s)"
  cat >"$SLURM_CONF" <<CONF
ClusterName=lookalike
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
SlurmdParameters=config_overrides
AuthType=auth/munge
AuthInfo=socket=$state/munge.socket
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
MailProg=/bin/true
# What a container has not: no cgroups to follow processes with, no accounting.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
# Jobs start and end at once.
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=10000,bf_interval=1
PreemptType=preempt/none
JobRequeue=1
ReturnToService=2
KillWait=2
MinJobAge=3600
MaxArraySize=10001
# A pretended GPU, so that hydra/launcher=slurm_gpu can be tried: it is counted, and nothing more.
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$megabytes Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE DefMemPerCPU=$((megabytes / cpus)) State=UP
CONF
  echo "NodeName=$host Name=gpu File=/dev/null" >"$state/gres.conf"
}

start() {
  local missing=() tool
  for tool in munged mungekey slurmctld slurmd sbatch; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  [[ ${#missing[@]} == 0 ]] || fail "${missing[*]} not found; apt-get install slurmctld slurmd slurm-client munge"
  [[ $EUID == 0 ]] || fail "slurmd starts jobs for others, so this has to be started as root"
  ((${#state} <= 90)) || fail "a socket's path has room for 107 characters; choose a shorter folder than $state"
  mkdir -p "$state"/{controller,node}
  exec 9>"$state/lock"
  flock --wait "$DEADLINE" 9 || fail "another start of $state does not end"
  if ! { alive "$state/slurmctld.pid" && alive "$state/slurmd.pid" && ready; }; then
    end_daemons
    write_settings
    [[ -s $state/munge.key ]] || mungekey --create --keyfile="$state/munge.key"
    # 9>&-: a daemon that kept the lock would hold it for ever. --force: anyone may see a folder below /tmp.
    munged --force --key-file="$state/munge.key" --socket="$state/munge.socket" --pid-file="$state/munged.pid" \
      --log-file="$state/munged.log" --seed-file="$state/munge.seed" 9>&- 2>"$state/munged.err" ||
      fail "munged did not start: $(<"$state/munged.err")"
    (cd "$state" && slurmctld 9>&- && slurmd 9>&-) >"$state/start.log" 2>&1 ||
      fail "SLURM did not start: $(<"$state/start.log")"
    within "$DEADLINE" ready || fail "the node does not answer; see $state/slurmctld.log and $state/slurmd.log"
  fi
  echo "export SLURM_CONF='$SLURM_CONF'"
}

# Job processes and their stepd are no children of slurmd; they carry our settings in their environment.
remaining() {
  local place
  for place in /proc/[0-9]*; do
    if grep -qsz "^SLURM_CONF=$SLURM_CONF\$" "$place/environ" && grep -qsE '^(slurmstepd|slurm_script)' "$place/comm"; then
      echo "${place#/proc/}"
    fi
  done
}

no_jobs() { [[ -z "$(timeout 10 squeue --noheader 2>/dev/null)" ]]; }

end_daemons() {
  local name pid
  for name in slurmd slurmctld munged; do
    if pid="$(process_of "$state/$name.pid")"; then
      kill "$pid" || true
      within 15 gone "$pid" || kill -KILL "$pid" || true
    fi
    rm -f "$state/$name.pid"
  done
  rm -f "$state/munge.socket"
}

stop() {
  [[ -d $state ]] || return 0
  if alive "$state/slurmctld.pid"; then
    timeout 10 squeue --noheader --format=%A | xargs --no-run-if-empty scancel --quiet || true
    within 20 no_jobs || true
  fi
  end_daemons
  local left
  for left in $(remaining); do
    kill -KILL "$left" 2>/dev/null || true
  done
  [[ -z ${SUDO_UID:-} ]] || chown -R "$SUDO_UID" "$state"  # who started it by sudo can remove it
}

case "$verb" in
  start) start ;;
  stop) stop ;;
  status)
    alive "$state/slurmctld.pid" && ready || fail "no cluster runs in $state; slurm/one_node.sh start $state"
    sinfo
    ;;
  *) fail "usage: one_node.sh start|status|stop [STATE]" ;;
esac
