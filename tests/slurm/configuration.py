"""The configuration files of a private cluster: two nodes on one machine, with two invented GPUs each.

The nodes are called 127.0.0.1 and 127.0.0.2, as submitit hands the first node's name to torch as MASTER_ADDR.
"""

from __future__ import annotations

NODES = ("127.0.0.1", "127.0.0.2")

SLURM = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
# A cluster that starts at job 1 again would find the results of another one in a folder that is used again.
FirstJobId={first_job}
MaxArraySize={max_array_size}
SlurmUser=root
SlurmdUser=root
MailProg=/bin/true
MpiDefault=none
{binding}

# A requeued job waits until its credential has expired: 120 s by default.
AuthType=auth/munge
AuthInfo=socket={state}/munge/sock,cred_expire=5
CredType=cred/munge

StateSaveLocation={state}/state
SlurmdSpoolDir={state}/spool/%n
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd-%n.pid
SlurmctldLogFile={state}/log/slurmctld.log
SlurmdLogFile={state}/log/slurmd-%n.log

# Neither cgroups nor systemd are needed.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
{accounting}

# Without these a job waits about 3 s for its first start.
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core

# Times in seconds: a killed process's grace, how long ended jobs are listed, when a silent node is down.
KillWait=5
MinJobAge=3600
SlurmctldTimeout=30
SlurmdTimeout=10
ReturnToService=2
JobRequeue=1

# config_overrides: the machine may have fewer CPUs and less memory than its nodes claim.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=127.0.0.[1-2] NodeAddr=127.0.0.1 NodeHostname={host} Port=[{first_node}-{last_node}] \
CPUs=8 RealMemory=4000 Gres=gpu:2 State=UNKNOWN

# A job in `urgent` takes the place of one in `main`, which gets its signal (USR2 for submitit) and is requeued.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PartitionName=main Nodes=ALL Default=YES DefaultTime=5 MaxTime=INFINITE PriorityTier=1 GraceTime=20 State=UP
PartitionName=urgent Nodes=ALL DefaultTime=5 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
"""

# Binds the daemons to the host's own name; works, and is wanted, only where that is 127.0.0.1.
LOOPBACK_ONLY = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"
LOOPBACK_ONLY_DATABASE = "CommunicationParameters=NoInAddrAny"

# AccountingStoragePass is munge's socket: sacct and sacctmgr ignore AuthInfo.
ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database}
AccountingStoragePass={state}/munge/sock
"""

DATABASE = """
AuthType=auth/munge
AuthInfo=socket={state}/munge/sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={database}
{binding}
SlurmUser=root
PidFile={state}/slurmdbd.pid
LogFile={state}/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""

# Two character devices: without a File the nodes are invalid, with a regular file CUDA_VISIBLE_DEVICES is empty.
GPU = "NodeName=127.0.0.[1-2] Name=gpu File={device}\n"

MUNGE = (
    "munged --foreground --num-threads=10 --key-file={state}/munge/key --socket={state}/munge/sock "
    "--pid-file={state}/munge/pid --log-file={state}/munge/log --seed-file={state}/munge/seed"
)

# Nothing here has to survive a power cut. A starting server deletes what looks like its old temporary tables: two
# clusters must not share a directory for them.
INNODB = (
    "--tmpdir={data} --innodb-log-file-size=8M --innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 "
    "--innodb-use-native-aio=0"
)
INSTALL_MARIADB = (
    "mariadb-install-db --no-defaults --datadir={data}/mariadb --auth-root-authentication-method=normal "
    f"--skip-test-db --user=root {INNODB}"
)
MARIADB = (
    "mariadbd --no-defaults --user=root --datadir={data}/mariadb --socket={state}/db.sock --pid-file={state}/db.pid "
    f"--skip-networking {INNODB} --innodb-buffer-pool-size=64M --performance-schema=0"
)
