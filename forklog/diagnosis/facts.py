"""The facts of a process: frozen values that look/ collects and judge/ reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Which kind of process this is, by whose fork, and how that is known."""

    server: str = "plain"
    """One of `forklog.process.server_hooks.ALL`, ``multiprocessing``, ``fork`` or ``plain``."""
    name: str = "process"
    """Such as ``worker 2``, ``arbiter``, ``child``."""
    model: str = ""
    """How its like come to be: ``prefork``, ``lazy-apps``, ``no master``, ``preload``, ..."""
    known_by: str = ""
    is_loader: bool = False
    """It loads the app, and uWSGI forks from it the processes that serve requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The process that was examined."""

    pid: int
    role: Role
    python: str
    has_threads: bool
    """Python threads run here."""
    other_threads: tuple[str, ...] = ()
    """Names of the live Python threads, but the main thread and forklog's."""
    has_fork_hooks: bool = True
    """The at-fork hooks of Python run when processes are forked from here, or this one was."""
    has_wipe: bool = True
    """The kernel wipes a marked page in forked children (MADV_WIPEONFORK)."""
    uwsgi_options: tuple[str, ...] = ()
    """Those options of uWSGI, of the ones that matter here, that are set."""
    has_own_fork_hook: bool = True
    """``uwsgi.post_fork_hook`` is ours or calls ours, wherever it is needed."""
    has_own_atexit: bool = True
    """``uwsgi.atexit`` is ours or calls ours, wherever it is needed."""
    dies_of_term: bool = False
    """SIGTERM has its default action, which ends Python without any exit hook."""
    time_limit: str = ""
    """What the server is set to kill processes for, beside uWSGI's harakiri; empty if nothing."""
    platform: str = ""
    """Where it runs in production, by the environment (``Kubernetes``, ...); empty elsewhere."""
    platform_sign: str = ""
    """The environment variable that says so."""
    is_command: bool = False
    """It is the process of the command ``forklog doctor``, not one of the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A way to run code at the end of this process."""

    name: str
    fires: bool
    is_hooked: bool
    """forklog's part is in place; else it will be with the first record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """What runs when this process ends."""

    hooks: tuple[Hook, ...] = ()
    without: tuple[str, ...] = ()
    """Exits that run no hook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A handler of forklog in this process."""

    name: str
    loggers: tuple[str, ...]
    """The loggers that it is attached to; none if it gets no record that way."""
    level: str
    options: tuple[tuple[str, str | int | float], ...]
    """Every option as a plain value; of credentials only the kind."""
    transport: str = "http"
    """``http``, or the class of another transport."""
    state: str = "inert"
    stats: tuple[tuple[str, str | int | float], ...] = ()
    """Numbers of `forklog.Stats`; drops as ``dropped.REASON``."""
    is_thread_alive: bool = True
    """Its flush thread lives, or none is wanted."""
    mark: str = ""
    """How it notices a fork: ``wiped page`` or ``PID``."""

    def option(self, name: str) -> str | int | float:
        """Return one option."""
        return dict(self.options)[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Another handler that bears on what forklog ships."""

    kind: str
    """Its class, with the module."""
    loggers: tuple[str, ...]
    effect: str
    """``ships`` (to Cloud Logging too), ``printed`` (a platform collects it), ``agent`` (forklog's
    own `StructuredLogHandler`), ``queue`` (a thread hands records on), ``holds`` (keeps them
    back)."""
    has_ours_behind: bool = False
    """A handler of forklog gets its records from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frameworks:
    """What frameworks and servers keep to themselves."""

    kept: tuple[str, ...] = ()
    """Loggers of the server that runs this process whose records do not reach forklog."""
    is_root_kept: bool = False
    """The server that runs this process, celery, has replaced the root logger's handlers."""
    without_middleware: str = ""
    """A web framework that is imported, where no middleware knows its requests."""
    has_inherited_context: bool = False
    """Threads start with the request of who starts them, and `carry_threads` was not called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """Which loggers reach which handlers."""

    handlers: tuple[Handler, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    doubled: tuple[str, ...] = ()
    """Loggers whose records reach the same log twice."""
    unreached: tuple[str, ...] = ()
    """Loggers with handlers of their own whose records reach no handler of forklog."""
    disabled: tuple[str, ...] = ()
    """Loggers that were disabled, mostly by ``disable_existing_loggers``."""
    root_level: str = "WARNING"
    disabled_below: str = ""
    """``logging.disable`` was called with this level."""
    disables_existing: bool = False
    """The configuration disables the loggers that exist when it is applied."""
    config_error: str = ""
    """Why the given configuration cannot be applied."""
    has_config: bool = False
    """The command was given a configuration."""
    frameworks: Frameworks = Frameworks()

    @property
    def is_printed_alone(self) -> bool:
        """Whether forklog prints for an agent here, and no handler of it sends: nothing waits."""
        return not self.handlers and any(n.effect == "agent" for n in self.neighbours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where records go, as whom, and what became of a dry run."""

    endpoint: str = ""
    endpoint_from: str = ""
    project: str = ""
    project_from: str = ""
    credentials: str = ""
    """Their kind, never themselves."""
    credentials_from: str = ""
    account: str = ""
    log_name: str = ""
    resource: str = ""
    proxy: str = ""
    step: str = "not begun"
    """What it was doing when it ended or its time was over."""
    outcome: str = "unfinished"
    """``accepted``, ``refused`` (the entry), ``blocked``, ``retry``, ``no_credentials``,
    ``unfinished``, ``skipped`` or ``failed``."""
    status: int = 0
    """HTTP status of the answer; 0 if there was none."""
    reason: str = ""
    """The verdict's words."""
    answer: str = ""
    """Those of them that the server answered, without a remedy."""
    detail: str = ""
    """The server's own message, or the system's text about the connection."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """What the folder of a spool holds that no living process owns."""

    path: str
    unfit: str = ""
    """Why no spool can be there; empty if one can, or if the folder does not exist yet."""
    waiting: int = 0
    """Dead processes whose entries the next process that logs with this spool sends."""
    kept: tuple[str, ...] = ()
    """What no process like this one sends: a line for each file, with its age."""
