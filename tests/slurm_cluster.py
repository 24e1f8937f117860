"""A real Slurm on this machine for tests: munged, slurmctld and two nodes, in a folder of its own, without systemd.

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge. Both nodes are this machine under two names, so that
a node can be killed while the other one goes on.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "scontrol")
INSTALL = "apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge"
NODES = ("n1", "n2")

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldPort={ports[0]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout=10
SlurmctldTimeout=30
KillWait=5
InactiveLimit=0
MinJobAge=300
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP OverSubscribe=NO
"""


def why_not() -> str | None:
    """The reason why no Slurm can be started here, or None."""
    missing = [name for name in PROGRAMS if _program(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: {INSTALL}"
    return None if os.geteuid() == 0 else "a Slurm of one's own needs root"


class SlurmCluster:
    """Slurm as a context manager; `environment` is what its clients need.

    Args:
        folder: of all its files; short, because sockets have short paths.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "SlurmCluster":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        text = CONF.format(host=socket.gethostname(), folder=self.folder, ports=_free_ports(3))
        (self.folder / "slurm.conf").write_text(text)
        files = [f"--{what}-file={self.folder / 'munge'}.{what}" for what in ("log", "pid", "seed")]
        self._run(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket", *files
        )
        self.wait(lambda: (self.folder / "munge.socket").exists(), 20, "munged")
        self._run("slurmctld", "-D", "-i")
        for node in NODES:
            self.start_node(node)
        self.wait(
            lambda: self.ask("sinfo", "-h", "-N", "-o", "%t").split() == ["idle", "idle"], 60, f"nodes ({self.folder})"
        )

    def start_node(self, node: str) -> None:
        """Start a node, also after `kill_node`."""
        self._run("slurmd", "-D", "-N", node, name=node)

    def kill_node(self, node: str) -> None:
        """End a node as a power cut does: its daemon, all its jobs and steps, without a signal that they could handle."""
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()
        marks = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()}
        inside = [pid for pid in _pids() if marks <= set(_read(pid, "environ").split(b"\0"))]
        steps = {_parent(pid) for pid in inside}
        steps = {pid for pid in steps if b"slurmstepd" in _read(pid, "cmdline")}
        for pid in [*steps, *inside]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ask(self, *command: str) -> str:
        """What a client prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    @staticmethod
    def wait(until, seconds: float, what: str) -> None:
        """Wait until a function returns true."""
        for _ in range(int(seconds / 0.1)):
            if until():
                return
            time.sleep(0.1)
        raise TimeoutError(f"waited {seconds:.0f} s for {what}")

    def _run(self, program: str, *arguments: str, name: str = "") -> None:
        with (self.folder / f"{name or program}.out").open("ab") as out:
            self._daemons[name or program] = subprocess.Popen(
                [_program(program), *arguments], env=os.environ | self.environment, stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self._daemons:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.ask("scancel", "--user=root", "--signal=KILL", "--full")
                self.ask("scancel", "--user=root")
                self.wait(lambda: not self.ask("squeue", "-h"), 10, "the end of all jobs")
        for node in NODES:
            if node in self._daemons:
                self.kill_node(node)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def _parent(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0
