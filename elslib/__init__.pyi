"""The public names and where they live: read by type checkers, and by lazy_loader when used."""

from .analysis.agreement import compare as compare
from .analysis.agreement import draw as draw
from .analysis.calibration import calibrate as calibrate
from .analysis.calibration import scale_table as scale_table
from .analysis.metrics import pearson_r as pearson_r
from .analysis.mosaic import certify as certify
from .analysis.mosaic import pieces as pieces
from .analysis.theories import theories as theories
from .data.image_set import ImageSet as ImageSet
from .data.named import load as load
from .denoisers.baselines import NearestImage as NearestImage
from .denoisers.baselines import PcaLocality as PcaLocality
from .denoisers.baselines import WienerFilter as WienerFilter
from .denoisers.machines import Denoiser as Denoiser
from .denoisers.machines import EquivariantLocalScore as EquivariantLocalScore
from .denoisers.machines import EquivariantScore as EquivariantScore
from .denoisers.machines import IdealScore as IdealScore
from .denoisers.machines import LocalScore as LocalScore
from .experiments.store import load_network as load_network
from .experiments.store import load_scale as load_scale
from .experiments.store import training_images as training_images
from .figures.explorer import explore as explore
from .figures.player import play as play
from .figures.plots import image_grid as image_grid
from .networks.network_denoiser import NetworkDenoiser as NetworkDenoiser
from .posterior import merge as merge
from .posterior import patch_posterior as patch_posterior
from .posterior.mass import image_mass as image_mass
from .samplers import ddim as ddim
from .samplers import initial_noise as initial_noise
from .samplers import sample as sample
from .samplers import uniform_times as uniform_times
from .scales import ScaleTable as ScaleTable
from .scales import constant_scale as constant_scale
from .scales import published_scale as published_scale
from .schedules import Schedule as Schedule
from .schedules import cosine as cosine
from .schedules import linear as linear
from .schedules import ornstein_uhlenbeck as ornstein_uhlenbeck
from .windows import Window as Window

__version__: str
