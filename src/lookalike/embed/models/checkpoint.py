"""The files of a Hugging Face checkpoint, read without torch or transformers.

A checkpoint is a local folder, or a hub id whose files ``lookalike fetch`` has put into the hub's cache
(https://huggingface.co/docs/huggingface_hub/guides/manage-cache). Nothing here touches the network.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lookalike.errors import ModelError, foreign_parser

if TYPE_CHECKING:
    from lookalike.store.store import Store

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
TOKENIZER_FILES = (
    "token*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
BYSTANDERS = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
"""Entries of config.json that no vector depends on."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds config.json, the processor's config and whole safetensors weights.

    ``cure`` ends every error about it: how the files can be had.
    """

    folder: Path
    cure: str

    @classmethod
    def find(
        cls, name_or_path: str, revision: str | None, cure: str, cache: Path | None = None
    ) -> Checkpoint:
        """Find a local folder, or the cached files of a hub id; ModelError when there are none.

        ``revision`` is a branch, tag or commit of a hub id (null: main); ``cache`` the hub's cache folder
        (null: the hub's own, which HF_HOME and HF_HUB_CACHE set).
        """
        if not name_or_path:
            raise ModelError(
                "model.name_or_path is empty; give a hub id (facebook/dinov2-base) or a local folder"
            )
        folder = Path(name_or_path).expanduser()
        if folder.is_dir():
            cure = "point model.name_or_path at a folder that save_pretrained wrote"
        elif not is_hub_id(name_or_path):
            raise ModelError(
                f"model.name_or_path={name_or_path} is neither a folder nor a hub id; correct the path"
            )
        else:
            folder = cached_snapshot(name_or_path, revision or "main", cache or hub_cache())
            if not folder.is_dir():
                where = f"{name_or_path}@{revision}" if revision else name_or_path
                raise ModelError(f"the weights of {where} are not on this machine; {cure}")
        return cls(folder, cure)

    @property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return self._json("config.json")

    @property
    def model_type(self) -> str:
        """The architecture's name in transformers: ``siglip``, ``dinov2`` ..."""
        return str(self.config.get("model_type"))

    @property
    def processor(self) -> dict[str, Any]:
        """The image processor's config, from the file that transformers prefers."""
        if (self.folder / "processor_config.json").is_file():
            nested = self._json("processor_config.json").get("image_processor")
            if isinstance(nested, dict):
                return nested
        return self._json("preprocessor_config.json")

    def architecture(self) -> dict[str, Any]:
        """config.json without what no vector depends on."""
        return {name: value for name, value in self.config.items() if name not in BYSTANDERS}

    def weights(self) -> list[Path]:
        """The safetensors files, each checked to be whole (its length is what its header announces)."""
        if (self.folder / WEIGHTS_INDEX).is_file():
            index = self._json(WEIGHTS_INDEX)
            with foreign_parser(f"{self.folder / WEIGHTS_INDEX} names no files", self.cure, ModelError):
                files = [self.folder / shard for shard in sorted(set(index.get("weight_map", {}).values()))]
        else:
            files = [self.folder / WEIGHTS]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise ModelError(self._missing_weights(missing))
        for file in files:
            if not is_whole_safetensors(file):
                raise ModelError(f"{file} is damaged or cut short; {self.cure}")
        return files

    def weight_hashes(self, store: Store) -> dict[str, str]:
        """Hash of each weights file, by name."""
        return {file.name: content_hash(file, store) for file in self.weights()}

    def tokenizer_hashes(self, store: Store) -> dict[str, str]:
        """Hash of each file that shapes how texts become tokens, by name."""
        files = {file for pattern in TOKENIZER_FILES for file in self.folder.glob(pattern)}
        if not files:
            raise ModelError(f"{self.folder} has no tokenizer, so captions cannot be embedded; {self.cure}")
        return {file.name: content_hash(file, store) for file in sorted(files)}

    def _json(self, name: str) -> dict[str, Any]:
        file = self.folder / name
        if not file.exists():
            raise ModelError(f"{self.folder} has no {name}; {self.cure}")
        with foreign_parser(f"{file} cannot be read", self.cure, ModelError):
            content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ModelError(f"{file} is not a JSON object; {self.cure}")
        return content

    def _missing_weights(self, missing: list[str]) -> str:
        others = sorted(file.name for pattern in PICKLED for file in self.folder.glob(pattern))
        if others:
            return (
                f"{self.folder} holds {others[0]} but no {missing[0]}, and Lookalike reads safetensors only "
                "(a pickle can run code); convert it: save_pretrained of the loaded model writes them"
            )
        return f"{self.folder} has no {missing[0]}; {self.cure}"


def is_hub_id(name: str) -> bool:
    """Whether ``name`` reads ``model`` or ``owner/model``, as hub ids do."""
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None


def hub_cache() -> Path:
    """The hub client's cache folder."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def cached_snapshot(hub_id: str, revision: str, cache: Path) -> Path:
    """Where the hub's client keeps a revision's files; the folder exists only if something was fetched."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    return repository / "snapshots" / commit


def discard_damaged(folder: Path) -> None:
    """Delete weights that are not whole, with what they link to, so that they are fetched again."""
    for file in folder.glob("*.safetensors"):
        if not (file.is_file() and is_whole_safetensors(file)):
            file.resolve().unlink(missing_ok=True)
            file.unlink(missing_ok=True)


def content_hash(file: Path, store: Store) -> str:
    """SHA-256 of a file; taken from its name if it lies in a hub cache, which names large files by theirs."""
    blob = file.resolve()
    if file.is_symlink() and blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    return store.file_hash(file)


def is_whole_safetensors(file: Path) -> bool:
    """Whether the file is as long as its header says (https://github.com/huggingface/safetensors#format).

    ModelError when it cannot be read at all.
    """
    with foreign_parser(f"{file} cannot be read", "fetch it again", ModelError), file.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        size = file.stat().st_size
        if not 0 < length <= size - 8:
            return False
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            return bool(size == 8 + length + max(ends, default=0))
        except Exception:  # whatever a damaged header makes of this
            return False
