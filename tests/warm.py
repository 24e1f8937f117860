"""Child processes that begin with torch and medzoo imported: a server process imports them once, and forks a child for each call.

A child is a process of its own, with an own environment, working folder, arguments and output; it can be killed like any other.
Tests that prove how a fresh Python starts (`python -c`, `accelerate launch`, limits of imports) use `subprocess`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

LIBRARIES = (
    "accelerate", "medzoo.bench.run", "medzoo.recipe_args", "medzoo.training.finetune", "medzoo.training.objectives.supervised",
    "medzoo.zoo.convert.limits", "medzoo.zoo.loading.load", "safetensors.torch", "timm", "torch",
)  # fmt: skip


class WarmChild:
    """A forked child, with the interface of `subprocess.Popen`; stdout and stderr are collected in files.

    Args:
        server: the server that forked it.
        pid: its process id. The server reaps it, so that the id is not used again before its exit code was read.
        folder: where its output is.
    """

    def __init__(self, server: "WarmPython", pid: int, folder: Path) -> None:
        self._server, self.pid, self._folder, self.returncode = server, pid, folder, None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask({"wait": self.pid})
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"the child did not end in {timeout} s: {self.stderr[-2000:]}")
            time.sleep(0.01)
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        self.wait(timeout)
        return self.stdout, self.stderr

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @property
    def stdout(self) -> str:
        return (self._folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text()


class WarmPython:
    """The server: `start` forks a child that runs a program."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._count = 0
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))},
        )  # fmt: skip

    def ask(self, request: dict) -> int | None:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, code: str, *arguments: str, env: dict[str, str] | None = None) -> WarmChild:
        """Run a program as `python -c code arguments` would, in the present folder.

        Args:
            code: the program.
            arguments: of its command line.
            env: its environment; by default that of this process.
        """
        self._count += 1
        folder = Path(self._folder.name) / str(self._count)
        folder.mkdir()
        request = {
            "code": code, "arguments": arguments, "environment": dict(env or os.environ), "working": str(Path.cwd()),
            "folder": str(folder),
        }  # fmt: skip
        return WarmChild(self, self.ask(request), folder)

    def run(self, code: str, *arguments: str, env: dict[str, str] | None = None) -> WarmChild:
        """As `start`, and wait for the end."""
        child = self.start(code, *arguments, env=env)
        child.wait()
        return child

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._folder.cleanup()


def _become(request: dict) -> int:
    """In the child: take the place of a new Python, run the program, and give its exit code."""
    import atexit
    import threading

    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["working"])
    for number, name in ((0, os.devnull), (1, "stdout"), (2, "stderr")):
        handle = os.open(Path(request["folder"]) / name, os.O_RDWR | os.O_CREAT, 0o666)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the descriptor of the child
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["-c", *request["arguments"]]
    code = 0
    try:
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _serve() -> None:
    """Fork a child for each line, or say whether one has ended."""
    import importlib

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            pid, status = os.waitpid(request["wait"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                code = 1
                try:
                    code = _become(request)
                finally:
                    os._exit(code)
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)  # the libraries' own end takes seconds


if __name__ == "__main__":
    _serve()
