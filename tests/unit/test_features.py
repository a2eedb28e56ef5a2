"""Kept features stay within their limit, the least recently used go first, copies start empty."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from flashface_core.flashface.features import FeatureCache, size_in_bytes


def features(kilobytes: int) -> dict[str, torch.Tensor]:
    half = torch.zeros(kilobytes * 128)
    return {"middle_block.1": half, "output_blocks.3.1": half.clone()}


def test_size_counts_every_block_in_its_own_dtype():
    blocks = {"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.float16)}
    assert size_in_bytes(blocks) == 3 * 5 * 4 + 7 * 2
    assert size_in_bytes({}) == 0


def test_what_was_put_is_what_is_got():
    cache, kept = FeatureCache(), features(1)
    cache.put(("model", 999), kept)
    assert cache.get(("model", 999)) is kept
    assert cache.get(("model", 998)) is None
    assert (len(cache), cache.bytes_used()) == (1, 1024)


def test_the_least_recently_used_goes_first():
    cache = FeatureCache(limit=3 * 1024)
    for timestep in (3, 2, 1):
        cache.put(timestep, features(1))
    cache.get(3)
    cache.put(0, features(1))
    assert [timestep for timestep in (3, 2, 1, 0) if cache.get(timestep)] == [3, 1, 0]
    assert cache.bytes_used() == 3 * 1024


def test_a_large_entry_pushes_out_as_many_as_it_takes():
    cache = FeatureCache(limit=4 * 1024)
    for timestep in range(4):
        cache.put(timestep, features(1))
    cache.put(9, features(3))
    assert [timestep for timestep in (0, 1, 2, 3, 9) if cache.get(timestep)] == [3, 9]
    assert cache.bytes_used() == 4 * 1024


def test_one_entry_beyond_the_limit_is_kept_alone():
    cache = FeatureCache(limit=1024)
    cache.put(1, features(1))
    cache.put(2, features(8))
    assert (len(cache), cache.bytes_used()) == (1, 8 * 1024)
    assert cache.get(2) is not None


def test_putting_a_key_again_replaces_it():
    cache, newer = FeatureCache(), features(2)
    cache.put(1, features(8))
    cache.put(1, newer)
    assert cache.get(1) is newer
    assert (len(cache), cache.bytes_used()) == (1, 2 * 1024)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda cache: pickle.loads(pickle.dumps(cache))]
)
def test_a_copy_starts_empty_with_the_same_limit(copied):
    cache = FeatureCache(limit=12345)
    cache.put(1, features(1))
    twin = copied(cache)
    assert (twin.limit, len(twin), twin.bytes_used()) == (12345, 0, 0)
    assert len(cache) == 1


def test_a_pickle_holds_no_features():
    cache = FeatureCache()
    cache.put(1, features(512))
    assert len(pickle.dumps(cache)) < 300
