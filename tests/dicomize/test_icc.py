"""The profile of sRGB, as LittleCMS understands it."""

from __future__ import annotations

import io

import numpy as np

from dicomloom.dicomize.icc import is_rgb, srgb
from support import peer_module


def test_littlecms_takes_it_for_srgb():
    module, cms = peer_module("PIL.Image"), peer_module("PIL.ImageCms")
    ours = cms.ImageCmsProfile(io.BytesIO(srgb()))
    assert cms.getProfileDescription(ours).strip() == "sRGB"
    assert (ours.profile.xcolor_space, ours.profile.connection_space) == ("RGB ", "XYZ ")
    steps = np.arange(0, 256, 5, dtype="u1")
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(52, -1, 3)
    theirs = cms.ImageCmsProfile(cms.createProfile("sRGB"))
    for intent in (cms.Intent.PERCEPTUAL, cms.Intent.RELATIVE_COLORIMETRIC):
        for pair in ((ours, theirs), (theirs, ours)):
            made = cms.profileToProfile(module.fromarray(cube), *pair, renderingIntent=intent)
            assert np.abs(np.asarray(made).astype(int) - cube).max() <= 1


def test_layout():
    """ICC.1:2022 7.1: sizes, alignment, and tags that lie within."""
    data = srgb()
    assert int.from_bytes(data[:4], "big") == len(data)
    assert len(data) % 4 == 0
    count = int.from_bytes(data[128:132], "big")
    for at in range(132, 132 + 12 * count, 12):
        start = int.from_bytes(data[at + 4 : at + 8], "big")
        size = int.from_bytes(data[at + 8 : at + 12], "big")
        assert start % 4 == 0
        assert 132 + 12 * count <= start <= start + size <= len(data)
    assert srgb() == data


def test_is_rgb():
    cms = peer_module("PIL.ImageCms")
    assert is_rgb(srgb())
    assert is_rgb(cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes())
    assert not is_rgb(cms.ImageCmsProfile(cms.createProfile("LAB")).tobytes())
    assert not is_rgb(srgb()[:-1])
    assert not is_rgb(b"")
