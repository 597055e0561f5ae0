import sys
from pathlib import Path

from supervisor.options import ServerOptions

from supervision.configuration import configuration, lock_of
from supervision.programs import Program
from supervision.settings import Settings


def _settings(root: Path) -> Settings:
    return Settings(
        root=root,
        data_dir=root / "data",
        log_dir=root / "logs",
        log_max_bytes=100_000,
        log_backups=1,
        restart_max_s=30,
        stop_grace_s=3,
    )


def test_supervisor_reads_the_programs_as_they_were_meant(tmp_path: Path) -> None:
    root = tmp_path / "50%"
    settings = _settings(root)
    (root / "logs").mkdir(parents=True)
    settings.run_dir.mkdir(parents=True)
    programs = [
        Program(name="one", command=("/bin/echo", "a b", "%(x)s")),
        Program(name="bot-two", command=("/bin/true",)),
    ]
    path = settings.run_dir / "supervisord.conf"
    path.write_text(configuration(settings, programs))

    options = ServerOptions()
    options.realize(["--configuration", str(path)])

    (group,) = options.process_group_configs
    found = {each.name: each for each in group.process_configs}
    assert set(found) == {"one", "bot-two"}
    assert found["one"].command.endswith("/bin/echo 'a b' '%(x)s'")
    assert found["one"].command.startswith(f"{sys.executable} -I -S ")
    assert str(lock_of(settings, programs[0])) in found["one"].command
    assert found["one"].directory == str(root)
