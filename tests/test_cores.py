"""The number of threads follows from the cores that are really free, and from what the user said."""

import os

import pytest

from medzoo import cores


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Eight cores, nobody else, no launcher, no wish."""
    for name in (
        "OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "LOCAL_WORLD_SIZE", "ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cores, "allowed_cpus", lambda: set(range(8)))
    monkeypatch.setattr(cores, "cpu_quota", lambda: None)
    monkeypatch.setattr(cores, "_physical", lambda count: count)
    monkeypatch.setattr(cores, "busy_cores", lambda: 0.0)


@pytest.mark.parametrize(
    ("busy", "count"), [(0.0, 8), (0.3, 8), (1.0, 7), (1.3, 7), (4.5, 3), (7.0, 1), (7.9, 1), (30.0, 1)]
)
def test_cores_in_use_by_others_are_left_to_them(monkeypatch, busy, count):
    monkeypatch.setattr(cores, "busy_cores", lambda: busy)
    assert cores.choose_threads().count == count


def test_one_of_two_cores_busy_is_one_thread(monkeypatch):
    monkeypatch.setattr(cores, "allowed_cpus", lambda: {0, 1})
    assert cores.choose_threads().count == 2
    monkeypatch.setattr(cores, "busy_cores", lambda: 1.0)
    assert cores.choose_threads().count == 1


@pytest.mark.parametrize(("quota", "count"), [(None, 8), (0.5, 1), (2.0, 2), (2.5, 3), (64.0, 8)])
def test_a_quota_limits(monkeypatch, quota, count):
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert cores.usable_cores() == cores.choose_threads().count == count


def test_load_beside_a_quota_is_load_of_the_whole_machine(monkeypatch):
    """Of eight cores five are busy; three are free, and the container may use two."""
    monkeypatch.setattr(cores, "cpu_quota", lambda: 2.0)
    monkeypatch.setattr(cores, "busy_cores", lambda: 5.0)
    assert cores.choose_threads().count == 2
    monkeypatch.setattr(cores, "busy_cores", lambda: 7.0)
    assert cores.choose_threads().count == 1


@pytest.mark.parametrize(("slurm", "count"), [("4", 4), ("0", 8), ("", 8), ("many", 8), ("99", 8)])
def test_slurm_limits(monkeypatch, slurm, count):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", slurm)
    assert cores.usable_cores() == cores.choose_threads().count == count


@pytest.mark.parametrize(("local", "count"), [("1", 8), ("2", 4), ("3", 2), ("16", 1)])
def test_processes_of_a_launch_share(monkeypatch, local, count):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    assert cores.choose_threads().count == count


@pytest.mark.parametrize(("asked", "count"), [("3", 3), ("12", 12), ("1", 1), ("4,2", 4), ("-1", 8), ("", 8), ("x", 8)])
def test_what_the_user_asks_for_wins(monkeypatch, asked, count):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(cores, "busy_cores", lambda: 0.0)
    assert cores.choose_threads().count == count


@pytest.mark.parametrize(("before", "count"), [(b"HOME=/x\0", 8), (b"HOME=/x\0OMP_NUM_THREADS=1\0", 1)])
@pytest.mark.parametrize("mark", ["ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID"])
def test_the_one_thread_of_a_launcher_is_nobodys_wish(monkeypatch, mark, before, count):
    """Accelerate sets OMP_NUM_THREADS=1 where the user did not; what the user said stands in the launcher's environment."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(mark, "no")
    parent = f"/proc/{os.getppid()}/environ"
    monkeypatch.setattr(
        cores.Path, "read_bytes", lambda path: before if str(path) == parent else pytest.fail(str(path))
    )
    assert cores.choose_threads().count == count


def test_hyperthreads_do_not_compute(monkeypatch):
    monkeypatch.setattr(cores, "_physical", lambda count: count // 2)
    assert cores.choose_threads().count == 4
    monkeypatch.setattr(cores, "busy_cores", lambda: 2.0)
    assert cores.choose_threads().count == 2


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


V2, V1 = "0::/job/step\n", "12:pids:/x\n4:cpu,cpuacct:/job\n0::/\n"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": V2}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/job/step/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/job/step/cpu.max": "150000 100000\n"}, 1.5),
        (  # the limit of a group above counts too
            {
                "proc/self/cgroup": V2, "sys/fs/cgroup/job/step/cpu.max": "max 100000\n",
                "sys/fs/cgroup/job/cpu.max": "400000 100000\n",
            },
            4.0,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),  # a container
        ({"proc/self/cgroup": V1, "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n"}, None),
        (
            {
                "proc/self/cgroup": V1, "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": V1, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/job/step/cpu.max": "nonsense\n"}, None),
    ],
)  # fmt: skip
def test_quotas_of_cgroups(tmp_path, monkeypatch, files, quota):
    monkeypatch.undo()
    write(tmp_path, files)
    assert cores.cpu_quota(tmp_path) == quota


def test_the_load_is_that_of_others(monkeypatch):
    """Two seconds, in which the cores were busy for three, one of them this process's."""
    monkeypatch.undo()
    samples = iter([cores._Sample(102.0, 53.0, 11.0)])
    monkeypatch.setattr(cores, "_first", cores._Sample(100.0, 50.0, 10.0))
    monkeypatch.setattr(cores, "_sample", lambda: next(samples))
    monkeypatch.setattr(cores.time, "monotonic", lambda: 102.0)
    assert cores.busy_cores.__wrapped__() == pytest.approx(1.0)


def test_a_machine_that_does_not_say_its_load(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(cores, "_first", None)
    monkeypatch.setattr(cores.os, "getloadavg", lambda: (3.0, 0.0, 0.0))
    assert cores.busy_cores.__wrapped__() == 2.0
