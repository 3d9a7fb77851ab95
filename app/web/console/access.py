"""Who may see and do what in the console. Asked before each of its pages, and denied unless a page says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, g, redirect, request, session, url_for
from flask_bootstrap import Bootstrap5
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, current_user, login_user
from flask_wtf import CSRFProtect
from werkzeug.exceptions import NotFound
from werkzeug.local import LocalProxy

from app.core.access import LASTS, READING, Asks, Rights, may_call
from app.core.causes import CATALOGUE, Cause
from app.core.errors import InvalidRequest
from app.storage import accounts
from app.storage.database import is_unreachable
from app.usecases.services import Services
from app.usecases.sign_in import From, SignedIn, signed_in

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

THEMES = ("light", "dark")

View = TypeVar("View", bound=Callable[..., Any])

_csrf = CSRFProtect()


def services() -> Services:
    found: Services = current_app.extensions["referloop"]
    return found


class User(UserMixin):  # type: ignore[misc]  # it has no types
    """Who is signed in, as Flask-Login knows them: by their session's token, not by their id."""

    def __init__(self, who: SignedIn, token: str) -> None:
        self.who, self._token = who, token

    @property
    def email(self) -> str:
        return self.who.email

    @property
    def rights(self) -> Rights:
        return self.who.rights

    def get_id(self) -> str:
        return self._token


def who() -> SignedIn:
    """Who is signed in. For pages that ask for it, which is all but the open ones."""
    found: SignedIn = current_user.who
    return found


def actor() -> str:
    """In whose name the page does what it does."""
    return who().actor


def open_to_all(view: View) -> View:
    """A page for those who are not signed in."""
    view.open_to_all = True  # type: ignore[attr-defined]
    return view


def own_doing(view: View) -> View:
    """It changes nothing but one's own."""
    view.asks = Asks.NOTHING_MORE  # type: ignore[attr-defined]
    return view


def owners_only(view: View) -> View:
    """An owner's doing."""
    view.asks = Asks.OWNER  # type: ignore[attr-defined]
    return view


def guard(app: Flask, console: Blueprint) -> None:
    """Set up what asks before each page of ``console``, and what its templates are told."""
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=app.extensions["referloop"].public_url.startswith("https:"),
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LASTS,
        WTF_CSRF_CHECK_DEFAULT=False,  # webhooks and the API carry proofs of their own
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        REMEMBER_COOKIE_NAME=None,  # nobody is remembered beyond the session: what is sent as such is not looked at
        BOOTSTRAP_SERVE_LOCAL=True,
    )
    Bootstrap5(app)
    _csrf.init_app(app)
    # One session is not tied to an address: people move between networks.
    logins = LoginManager(app, add_context_processor=False)
    logins.session_protection = None
    logins.user_loader(_user)
    # As globals, so that macros know them too. They stand for the one who asks at that moment.
    app.jinja_env.globals.update(
        causes={cause.value: text for cause, text in CATALOGUE.items()},
        may_manage=LocalProxy(lambda: _is_allowed(Asks.RIGHT_TO_MANAGE)),
        is_owner=LocalProxy(lambda: _is_allowed(Asks.OWNER)),
    )
    console.before_request(_check)
    console.after_request(_finish)
    console.context_processor(_told)


def _user(token: str) -> User | None:
    found = signed_in(services(), token)
    return User(found, token) if found is not None else None


def _is_allowed(asks: Asks) -> bool:
    return bool(current_user.is_authenticated) and may_call(current_user.rights, "POST", asks)


def _check() -> Response | None:
    """Raises: InvalidRequest 403 for what somebody has no right to, CSRFError for what another site has sent."""
    request.max_content_length = request.max_form_memory_size = MOST_BYTES
    view = current_app.view_functions[request.endpoint or ""]
    if not getattr(view, "open_to_all", False) and not current_user.is_authenticated:
        return _to_sign_in()
    _csrf.protect()
    if getattr(view, "open_to_all", False):
        return None
    asks = getattr(view, "asks", Asks.RIGHT_TO_MANAGE)
    if not may_call(current_user.rights, request.method, asks):
        raise _not_permitted(asks)
    g.actor = actor()
    return None


MOST_BYTES = 2 * 1024 * 1024
"""Of a form. A settings document fits many times over."""


def _to_sign_in() -> Response:
    """A form that was sent too late is not sent again by itself: its page is opened anew."""
    wanted = request.full_path.rstrip("?") if request.method in READING else None
    response = redirect(url_for("console.sign_in.show", next=wanted))
    assert isinstance(response, Response)  # noqa: S101 - Flask's own
    return response


def _not_permitted(asks: Asks) -> InvalidRequest:
    names = " or ".join(granters())
    what = "An owner can do this" if asks is Asks.OWNER else "The right to manage integrations is needed for this"
    return InvalidRequest(f"{what}. Ask {names}.", status=403, cause=Cause.TEAMMATE_NOT_PERMITTED)


def granters() -> list[str]:
    """Who can give rights, by their emails."""
    with services().database.reading() as connection:
        return list(accounts.owners(connection))


def _finish(response: Response) -> Response:
    # A picture has a policy of its own.
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _told() -> dict[str, Any]:
    theme = request.cookies.get("theme")
    return {"theme": theme if theme in THEMES else None, **_told_of_user()}


def _told_of_user() -> dict[str, Any]:
    """While the database is away nobody is known, and the page that says so must be shown all the same."""
    try:
        inside, allowed = bool(current_user.is_authenticated), _is_allowed(Asks.RIGHT_TO_MANAGE)
        names = granters() if inside and not allowed else []
    except Exception as error:
        if not is_unreachable(error):
            raise
        return {"current_user": AnonymousUserMixin(), "may_manage": False, "granters": [], **_links(inside=False)}
    return {
        "current_user": current_user,
        "may_manage": allowed,
        "granters": names,
        **_links(inside=inside),
    }


_NAVIGATION = (
    ("Overview", "/"),
    ("Connections", "/connections"),
    ("Campaigns", "/campaigns"),
    ("Syncs", "/syncs"),
    ("People", "/people"),
    ("Events", "/events"),
    ("Why?", "/troubleshooter"),
    ("Check", "/check"),
)

_HOUSEKEEPING = (
    ("Teammates", "/teammates"),
    ("API tokens", "/tokens"),
    ("Audit log", "/audit-log"),
    ("My account", "/account"),
)
"""Under who is signed in: seldom needed, and the pages of every day have room beside them."""


def _links(*, inside: bool) -> dict[str, list[dict[str, Any]]]:
    lists = {"navigation": _NAVIGATION, "housekeeping": _HOUSEKEEPING}
    return {name: _there(links) if inside else [] for name, links in lists.items()}


def _there(links: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    """Only what is there: an address is listed as soon as a page answers at it."""
    return [
        {
            "text": text,
            "url": url,
            "current": request.path == url or (url != "/" and request.path.startswith(f"{url}/")),
        }
        for text, url in links
        if _leads_somewhere(url)
    ]


def _leads_somewhere(url: str) -> bool:
    try:
        current_app.url_map.bind("").match(url, method="GET")
    except NotFound:
        return False
    return True


def enter(token: str, who: SignedIn) -> None:
    """Begin the browser's session anew: nothing that was in its cookie before stays in it."""
    session.clear()
    session.permanent = True
    login_user(User(who, token))


def came_from() -> From:
    """Where a request comes from. Behind a proxy, whose own address is of a private network, the last address that
    was forwarded is the proxy's word. Anything before it, or any of it without a proxy, is what the sender claims."""
    address = request.remote_addr or ""
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    if forwarded and _is_private(address):
        address = forwarded
    return From(address, request.headers.get("User-Agent", ""))


def _is_private(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return not address


def own_path(wanted: str | None) -> str:
    """``wanted`` where it is a path of ours, else the first page. Browsers take ``//host`` and ``/\\host`` for other
    sites, and leave tabs and line ends out."""
    if not wanted or not wanted.startswith("/") or wanted.startswith("//"):
        return "/"
    if "\\" in wanted or any(ord(character) < 32 or ord(character) == 127 for character in wanted):
        return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    return wanted if not parts.scheme and not parts.netloc else "/"
