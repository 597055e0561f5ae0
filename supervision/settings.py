"""What the supervision is told by the environment."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from market.settings import ROOT, Environment, real, whole

_SOCKET_PATH_MAX = 90  # bytes; macOS allows 104, and supervisor adds a suffix while it binds


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the supervision keeps its files, and its patience."""

    root: Path
    data_dir: Path
    log_dir: Path
    log_max_bytes: int
    log_backups: int
    restart_max_s: float
    stop_grace_s: int

    @classmethod
    def from_env(cls, env: Environment, root: Path = ROOT) -> Self:
        """Return the settings, their paths absolute; raise SettingsError that names a wrong one."""
        return cls(
            root=root,
            data_dir=root / env.read("DATA_DIR", Path),
            log_dir=root / env.read("LOG_DIR", Path),
            log_max_bytes=env.read("LOG_MAX_BYTES", whole(10_000, 2**40)),
            log_backups=env.read("LOG_BACKUPS", whole(0, 1000)),
            restart_max_s=env.read("RESTART_MAX_S", real(1, 3600)),
            stop_grace_s=env.read("STOP_GRACE_S", whole(1, 4)),
        )

    @property
    def run_dir(self) -> Path:
        """Where the locks, the generated configuration and the socket live while it runs."""
        return self.data_dir / "run"

    @property
    def supervisor_lock(self) -> Path:
        """The lock that a running supervisor holds, its process id inside."""
        return self.run_dir / "supervisor.lock"

    @property
    def socket(self) -> Path:
        """The control socket: in the run folder, or in a short one where that path is too long."""
        path = self.run_dir / "control.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
            return path
        digest = hashlib.sha256(os.fsencode(self.run_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"sandpit-{os.getuid()}-{digest}" / "control.sock"
