"""Items of a long run, kept one by one, so that it goes on where it was stopped."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from elslib.experiments.store import check_belongs
from elslib.io import read_json, write_json


class ResumeLog:
    """Items of a long run, written to a json file one by one, so that a kill loses one at most.

    What `grows` names may differ from what was kept: the items say themselves what they have.

    Raises ValueError for a file that is broken or that a run of another configuration left.
    """

    def __init__(self, path: Path, config: dict, grows: Collection[str] = ()):
        self.path, self.config = path, config
        self.items: list[dict] = []
        if not path.exists():
            return
        kept = read_json(path, "delete it to start again")
        config_and_items = kept.get("config"), kept.get("items")
        is_record = all(map(isinstance, config_and_items, (dict, list)))
        if not is_record or not all(isinstance(item, dict) for item in kept["items"]):
            raise ValueError(f"{path} is no record of a run; delete it to start again.")
        now = {key: config.get(key) for key in kept["config"] | config if key not in grows}
        remedy = "ask for the same, or delete it to start again"
        check_belongs(path, "this run", kept["config"], now, remedy)
        self.items = kept["items"]

    def add(self, item: dict) -> None:
        """Keep one more."""
        self.put(len(self.items), item)

    def put(self, number: int, item: dict) -> None:
        """Keep one more, or another in the place of one."""
        self.items[number : number + 1] = [item]
        write_json(self.path, {"config": self.config, "items": self.items})

    def gathered(self, key: str) -> list:
        """What all items have under a key, one after the other."""
        return [entry for item in self.items for entry in item[key]]

    def seconds(self, first: int | None = None) -> float:
        """What the items took, or the `first` of them."""
        return round(sum(item["seconds"] for item in self.items[:first]), 1)


def resume_log(result: Path, config: dict, grows: Collection[str] = ()) -> ResumeLog:
    """Where the parts of a result are kept, as it is asked for now.

    Of other weights, images or options they lie elsewhere, so that nothing is lost and nothing is
    in the way.
    """
    fixed = {key: value for key, value in config.items() if key not in grows}
    digest = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{result.stem}-{digest}{result.suffix}"
    return ResumeLog(result.parent / ".state" / name, config, grows)
