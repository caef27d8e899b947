"""A small painted person for the training tests: colours are functions of the rest position."""

import math

import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.flow.source import Source
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.render.camera import Camera
from lwg_core.render.raster import interpolate, rasterize, silhouette

SIZE = 64


def small_generator(seed=0):
    config = GeneratorConfig.surface(widths=(8, 16, 24), res_blocks=1, spade_hidden=8)
    return AttLWBGenerator.from_scratch(config, seed)


def person(yaw, bend=0.0):
    """One frame, facing the camera at yaw 0, arms lowered."""
    pose = torch.zeros(1, 24, 3)
    turn = torch.tensor([math.cos(yaw / 2), 0.0, math.sin(yaw / 2)])
    pose[0, 0] = math.pi * turn
    pose[0, 16, 2], pose[0, 17, 2] = -1.0, 1.0
    pose[0, 1, 0] = -bend
    camera = Camera(
        torch.tensor([SIZE * 0.46]), torch.tensor([[SIZE / 2, SIZE * 0.4]]), (SIZE, SIZE)
    )
    return SmplParams(pose, torch.zeros(10), "open", camera)


def painted(params):
    """(image (3, H, W), alpha (1, H, W)) of the painted body over grey."""
    body = open_body()
    points = params.camera.project(body.vertices(params.pose, params.betas))
    raster = rasterize(points, body.faces, (SIZE, SIZE))
    paint = torch.sin(body.v_template * torch.tensor([9.0, 7.0, 11.0]))
    colour = interpolate(raster, paint, body.faces).permute(0, 3, 1, 2)[0]
    alpha = silhouette(raster)[0]
    return alpha * colour, alpha


def source(yaw, bend=0.0):
    params = person(yaw, bend)
    image, alpha = painted(params)
    return Source(image, params, alpha)
