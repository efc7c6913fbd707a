from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lookalike import schemas
from lookalike.embed.models import FAMILIES, open_model
from lookalike.errors import ModelError
from lookalike.store.store import Store


@pytest.mark.parametrize("schema", list(FAMILIES))
def test_every_schema_opens_under_its_own_name(schema: type[schemas.Model]) -> None:
    assert open_model(schema()).name == schema().name  # type: ignore[call-arg]


def test_every_model_schema_has_a_family() -> None:
    assert set(FAMILIES) == set(schemas.Model.__subclasses__())


def test_recipes_import_neither_torch_nor_transformers(siglip: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from lookalike import schemas
from lookalike.embed.models import open_model
from lookalike.store.store import Store

store = Store(Path({str(tmp_path)!r}) / "store")
for config in (
    schemas.PixelsModel(),
    schemas.EfficientNetLite0Model(),
    schemas.TransformersModel(name_or_path={str(siglip)!r}),
    schemas.TransformersModel(name_or_path="nobody/nothing"),
):
    model = open_model(config)
    if not model.faults():
        assert model.image_recipe(store)
print(sorted({{"torch", "transformers", "safetensors"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("config", [schemas.PixelsModel(), schemas.EfficientNetLite0Model()], ids=str)
def test_captions_need_a_text_tower(config: schemas.Model, store: Store) -> None:
    model = open_model(config)
    assert model.faults() == []
    assert len(model.faults(texts=True)) == 1
    for ask in (lambda: model.text_recipe(store), lambda: model.load().encode_texts(["a cat"])):
        with pytest.raises(ModelError, match="no text tower"):
            ask()
