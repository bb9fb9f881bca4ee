"""Files (v1): the bytes lie in a folder beside the account, named by id."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import UploadFile

from sandbox.pipedrive import removal
from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.desk import LABELS, Desk
from sandbox.pipedrive.listing import Cut
from sandbox.pipedrive.refusals import Refused, not_found
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v1 import integer, listed, page, refused

MOST_ROWS = 100
_LINKS = {
    "deal_id": "deals",
    "person_id": "persons",
    "org_id": "organizations",
    "product_id": "products",
    "activity_id": "activities",
}
_ABSENT = ("project_id",)
_NAMES = {
    "deal_id": ("deal_name", "title"),
    "person_id": ("person_name", "name"),
    "org_id": ("org_name", "name"),
    "product_id": ("product_name", "name"),
}
# What the list of a product's files leaves out.
_NOT_OF_PRODUCTS = (
    "user_id",
    "log_id",
    "cid",
    "mail_message_id",
    "mail_template_id",
    "deal_id",
    "deal_name",
    "person_id",
    "person_name",
    "org_id",
    "org_name",
    "activity_id",
    "lead_id",
    "lead_name",
    "project_id",
    "project_name",
)
_PICTURES = frozenset({"png", "jpg", "jpeg", "gif", "webp", "bmp", "svg"})


def path_of(desk: Desk, key: int) -> Path:
    """Where the bytes of a file are."""
    return desk.folder() / str(key)


def digest(desk: Desk, key: int) -> str | None:
    """The SHA-256 of a file's bytes."""
    try:
        with path_of(desk, key).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _kind(name: str) -> str:
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return "img" if ending in _PICTURES else ending or "file"


def _create(call: Call) -> Answer:
    form = call.form
    if form is None or not call.media_type.startswith("multipart/"):
        raise refused("No files were uploaded")
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise refused("No files were uploaded")
    links: Record = {}
    for name, kind in _LINKS.items():
        if form.get(name):
            key = integer(form[name], name)
            if not call.desk.store.has(kind, key):
                raise not_found(name.removesuffix("_id").capitalize())
            links[name] = key
    if form.get("lead_id"):
        lead = call.desk.by_uuid("leads", form["lead_id"])
        if lead is None:
            raise not_found("Lead")
        links["lead_id"] = lead["uuid"]
    for name in _ABSENT:
        if form.get(name):
            raise not_found(name.removesuffix("_id").capitalize())
    record = {**_blank(call, upload.filename or "file"), **links}
    record["file_size"] = upload.file.seek(0, os.SEEK_END)
    key = call.desk.store.insert("files", record)
    upload.file.seek(0)
    with path_of(call.desk, key).open("wb") as stream:
        shutil.copyfileobj(upload.file, stream)
    return data(shown(call, {"id": key, **record}))


def _blank(call: Call, name: str) -> Record:
    now = call.desk.sql_now()
    stem, dot, ending = name.rpartition(".")
    unique = hashlib.sha1(f"{call.desk.store.count('uploads', 1)}".encode()).hexdigest()
    return {
        "user_id": call.user_id,
        "log_id": None,
        **dict.fromkeys((*_LINKS, "lead_id", *_ABSENT)),
        "add_time": now,
        "update_time": now,
        "file_name": f"{stem}_{unique}.{ending}" if dot else f"{name}_{unique}",
        "file_type": _kind(name),
        "file_size": 0,
        "active_flag": True,
        "inline_flag": False,
        "remote_location": "s3",
        "remote_id": "",
        "cid": "",
        "s3_bucket": "",
        "mail_message_id": "",
        "mail_template_id": "",
        "name": name,
        "description": "",
    }


def shown(call: Call, record: Record) -> Record:
    """The file with the names of what it belongs to."""
    seen = dict(record)
    for link, (name, source) in _NAMES.items():
        linked = call.desk.store.get(_LINKS[link], record[link]) if record[link] else None
        seen[name] = linked[source] if linked else ""
    lead = call.desk.by_uuid("leads", record["lead_id"])
    seen |= {"lead_name": lead["title"] if lead else "", "project_name": ""}
    seen["url"] = f"{call.origin}/v1/files/{record['id']}/download"
    return seen


def _need(call: Call) -> Record:
    return call.desk.one("files", call.key(), "File")


def _read(call: Call) -> Answer:
    record = call.desk.readable("files", call.key())
    if record is None:
        raise not_found("File")
    return data(shown(call, record))


def _download(call: Call) -> Answer:
    record = _need(call)
    body = path_of(call.desk, record["id"]).read_bytes()
    quoted = record["name"].replace('"', "").encode("ascii", "replace").decode()
    headers = {"content-disposition": f'attachment; filename="{quoted}"'}
    return Answer(body, media_type="application/octet-stream", headers=headers)


def _update(call: Call) -> Answer:
    record = _need(call)
    if call.form is None:
        raise Refused(400, "Request body must be application/x-www-form-urlencoded")
    for name in ("name", "description"):
        said = call.form.get(name)
        if isinstance(said, str):
            record[name] = said
    record["update_time"] = call.desk.sql_now()
    call.desk.store.replace("files", record["id"], record)
    return data(shown(call, record))


def _delete(call: Call) -> Answer:
    record = _need(call)
    removal.delete(call.desk, "files", record)
    return data({"id": record["id"]})


def _list(call: Call) -> Answer:
    rows, additional = page(call, "files", Cut("is_deleted=0"), ("id", "update_time"), MOST_ROWS)
    return listed([shown(call, row) for row in rows], additional)


def _of(kind: str, column: str) -> Callable[[Call], Answer]:
    """GET /deals/{id}/files and its likes."""

    def of_one(call: Call) -> Answer:
        key = call.key()
        if not call.desk.store.has(kind, key):
            raise not_found(LABELS[kind])
        cut = Cut("is_deleted=0")
        cut.add(f"{column}=?", key)
        rows, additional = page(call, "files", cut, ("id", "update_time"), MOST_ROWS)
        hidden = _NOT_OF_PRODUCTS if kind == "products" else ()
        seen = [shown(call, row) for row in rows]
        kept = [{key: one[key] for key in one if key not in hidden} for one in seen]
        return listed(kept, additional)

    return of_one


_ALL, _ONE = "/files", "/files/{id}"
OPERATIONS = [
    Operation("getFiles", "v1", "GET", _ALL, 20, _list),
    Operation("addFile", "v1", "POST", _ALL, 10, _create, form=True),
    Operation("getFile", "v1", "GET", _ONE, 2, _read),
    Operation("updateFile", "v1", "PUT", _ONE, 10, _update, form=True),
    Operation("deleteFile", "v1", "DELETE", _ONE, 6, _delete),
    Operation("downloadFile", "v1", "GET", f"{_ONE}/download", 20, _download),
    *(
        Operation(f"get{name}Files", "v1", "GET", f"/{kind}/{{id}}/files", 20, _of(kind, column))
        for name, kind, column in (
            ("Deal", "deals", "deal_id"),
            ("Person", "persons", "person_id"),
            ("Organization", "organizations", "org_id"),
            ("Product", "products", "product_id"),
        )
    ),
]
