"""The configuration that supervisor reads, written anew at each start."""

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from supervision.programs import Program
from supervision.settings import Settings

SETTLED_S = 10
"""A process that ends sooner counts as failing, and waits longer each time before it restarts."""


def configuration(settings: Settings, programs: Iterable[Program]) -> str:
    """Return the text of supervisor's configuration file for these programs.

    All are in one group, so that all are told to stop at once. No retry is the last one, hence the
    large number of them: how long each waits is decided in `supervision.extension`.
    """
    programs = tuple(programs)
    sections = [
        _section(
            "supervisord",
            nodaemon="true",
            silent="true",
            nocleanup="true",
            minfds=256,
            directory=settings.root,
            childlogdir=settings.run_dir,
            pidfile=settings.run_dir / "supervisord.pid",
            logfile=settings.log_dir / "supervisor.log",
            logfile_maxbytes=settings.log_max_bytes,
            logfile_backups=settings.log_backups,
        ),
        _section("unix_http_server", file=settings.socket, chmod="0700"),
        _rpc("supervisor", "supervisor.rpcinterface:make_main_rpcinterface"),
        _rpc(
            "market",
            "supervision.extension:extend",
            log_dir=settings.log_dir,
            log_max_bytes=settings.log_max_bytes,
            restart_max_s=settings.restart_max_s,
        ),
        _section("group:market", programs=",".join(program.name for program in programs)),
        *(_program(settings, program) for program in programs),
    ]
    return "\n".join(sections)


def lock_of(settings: Settings, program: Program) -> Path:
    """Return the file that a program's process keeps locked."""
    return settings.run_dir / f"{program.name}.lock"


def _program(settings: Settings, program: Program) -> str:
    shim = str(Path(__file__).with_name("child.py"))
    lock = str(lock_of(settings, program))
    prelude = [sys.executable, "-I", "-S", shim, program.name, lock, str(os.getpid())]
    return _section(
        f"program:{program.name}",
        command=shlex.join([*prelude, *program.command]),
        directory=settings.root,
        autorestart="true",
        startsecs=SETTLED_S,
        startretries=10**9,
        stopwaitsecs=settings.stop_grace_s,
        killasgroup="true",
        stdout_logfile="NONE",
        stderr_logfile="NONE",
        stdout_events_enabled="true",
        stderr_events_enabled="true",
    )


def _rpc(name: str, factory: str, **members: object) -> str:
    return _section(
        f"rpcinterface:{name}", **{"supervisor.rpcinterface_factory": factory}, **members
    )


def _section(title: str, **members: object) -> str:
    lines = (f"{key} = {str(value).replace('%', '%%')}" for key, value in members.items())
    return "\n".join([f"[{title}]", *lines, ""])
