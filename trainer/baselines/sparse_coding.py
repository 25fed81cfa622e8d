"""Super-resolution by sparse coding (Yang et al. 2010), in the form of Zeyde, Elad and Protter 2010.

Each patch of the enlarged picture is described by features made from its gradients. These features are combined from a
few atoms of one dictionary; the corresponding atoms of another dictionary, with the same weights, make up the missing
detail.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from sklearn.decomposition import MiniBatchDictionaryLearning
from torch import Tensor

from model_store.nets import bicubic
from model_store.nets.luma import luma, with_luma
from trainer.baselines.matching_pursuit import pursue
from trainer.data.degradation import degrade
from trainer.errors import BadDictionary, BadPhotos, BadRecipe

_WINDOW = 3
"""Side of a patch, in pixels of the small picture."""
_FILTERS = 4
"""Number of gradients that describe a patch."""
_ENERGY = 0.999
"""Share of the features' variance that the principal components keep."""
_ATOMS_EACH = 3
"""Number of atoms that a patch is combined from."""
_PATCHES, _PATCHES_OF_ATOMS = 100_000, 20_000
"""Number of patches drawn to learn the atoms of the detail, and of those among them to learn those of the features."""
_SPARSITY, _BATCH = 0.3, 256
"""Weight of the penalty on the codes, and number of patches in a batch, while the feature atoms are learnt."""
_RIDGE = 1e-3
"""Regularisation of the least squares for the detail atoms, as a share of the mean of their diagonal."""


@dataclass(frozen=True, eq=False)
class SparseCoding:
    """A super-resolver made of two dictionaries of A atoms, for patches with P = 3·factor pixels a side.

    It adds detail to luma only; chroma stays as bicubic interpolation makes it.
    """

    components: Tensor
    """Principal components, which turn the four gradients of a patch into its D features, float32, `(D, 4, P, P)`."""
    feature_atoms: Tensor
    """Atoms of the features, each of norm 1, float32, `(A, D)`."""
    detail_atoms: Tensor
    """Atoms of the detail that is added to the enlarged patch, float32, `(A, P·P)`."""

    @property
    def factor(self) -> int:
        """Return the factor of enlargement."""
        return self.components.shape[-1] // _WINDOW

    @classmethod
    def learn(cls, tiles: Tensor, factor: int, atoms: int = 1024, seed: int = 0) -> Self:
        """Learn dictionaries from large pictures and their degraded copies.

        Args:
            tiles: Large pictures, uint8 RGB, `(N, 3, S, S)`.
            factor: Factor of enlargement.
            atoms: Size of the dictionaries, A.
            seed: Seed of the random choice of patches and first atoms, from 0 to 2^32 - 1.

        Raises:
            BadRecipe: The factor does not divide S, or S is less than three times the factor.
            BadPhotos: The pictures have fewer patches with structure than the dictionaries are to have atoms.
        """
        side = tiles.shape[-1]
        if side % factor or side < _WINDOW * factor:
            raise BadRecipe(
                f"tiles of {side} pixels do not suit ×{factor}: make their side a multiple of {factor} from "
                f"{_WINDOW * factor} up"
            )
        generator = torch.Generator().manual_seed(seed)
        places = (side // factor - _WINDOW + 1) ** 2
        drawn = [torch.randperm(places, generator=generator)[: math.ceil(_PATCHES / len(tiles))] for _ in tiles]
        directions = _principal_components(
            _patches(gradients, factor)[chosen]
            for (gradients, _), chosen in zip(_gradients_and_detail(tiles, factor), drawn, strict=True)
        )
        components = directions.view(-1, _FILTERS, _WINDOW * factor, _WINDOW * factor)
        pairs = [
            (_features(gradients, components)[chosen], _patches(detail, factor)[chosen])
            for (gradients, detail), chosen in zip(_gradients_and_detail(tiles, factor), drawn, strict=True)
        ]
        features, detail = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        feature_atoms = _learn_feature_atoms(features, atoms, seed, generator)
        return cls(components, feature_atoms, _fit_detail_atoms(features, detail, feature_atoms))

    def enlarge(self, pictures: Tensor) -> Tensor:
        """Enlarge float RGB in [0, 1], `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`.

        Raises:
            ValueError: A side is shorter than 3 pixels.
        """
        height, width = pictures.shape[-2:]
        if min(height, width) < _WINDOW:
            raise ValueError(f"a picture of {width}×{height} is too small: both sides must be at least {_WINDOW}")
        return torch.cat([self._enlarge(picture[None]) for picture in pictures])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the dictionaries to a safetensors file.

        Raises:
            BadDictionary: The file cannot be written.
        """
        tensors = {
            "components": self.components,
            "feature_atoms": self.feature_atoms,
            "detail_atoms": self.detail_atoms,
        }
        try:
            safetensors.torch.save_file({name: each.contiguous() for name, each in tensors.items()}, path)
        except (OSError, SafetensorError) as error:
            raise BadDictionary(f"cannot write the dictionary {os.fspath(path)}: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read dictionaries from a file that `save` wrote.

        Raises:
            BadDictionary: The file cannot be read, is damaged or holds something else.
        """
        name = os.fspath(path)
        try:
            tensors = safetensors.torch.load_file(path)
        except (OSError, SafetensorError) as error:
            raise BadDictionary(f"cannot read the dictionary {name}: {error}") from error
        try:
            loaded = cls(**tensors)
        except TypeError:
            raise BadDictionary(f"{name} is not a dictionary of sparse coding: it holds {', '.join(tensors)}") from None
        if not loaded._is_consistent():
            raise BadDictionary(f"the dictionary {name} is damaged: its parts do not fit each other; learn it again")
        return loaded

    def _enlarge(self, picture: Tensor) -> Tensor:
        enlarged = bicubic.enlarge(picture, self.factor)
        grey = luma(enlarged)
        codes = pursue(_features(_gradients(grey), self.components), self.feature_atoms, _ATOMS_EACH)
        detail = codes.combine(self.detail_atoms).T[None]
        side = _WINDOW * self.factor
        total, times = (
            F.fold(each, (grey.shape[-2], grey.shape[-1]), side, stride=self.factor)
            for each in (detail, torch.ones_like(detail))
        )
        return with_luma(enlarged, grey + total / times).clamp(0, 1)

    def _is_consistent(self) -> bool:
        tensors = (self.components, self.feature_atoms, self.detail_atoms)
        if [each.dim() for each in tensors] != [4, 2, 2] or not all(each.numel() for each in tensors):
            return False
        (dimensions, _, _, side), count = self.components.shape, len(self.feature_atoms)
        return (
            all(each.dtype == torch.float32 and bool(each.isfinite().all()) for each in tensors)
            and side % _WINDOW == 0
            and self.components.shape == (dimensions, _FILTERS, side, side)
            and self.feature_atoms.shape == (count, dimensions)
            and self.detail_atoms.shape == (count, side * side)
        )


def _gradients_and_detail(tiles: Tensor, factor: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the gradients of each tile's enlarged copy, `(1, 4, S, S)`, and its missing detail, `(1, 1, S, S)`."""
    for tile in tiles:
        large = tile[None] / 255
        enlarged = bicubic.enlarge(luma(degrade(large, factor)), factor)
        yield _gradients(enlarged), luma(large) - enlarged


def _gradients(grey: Tensor) -> Tensor:
    """Return the first and second derivatives along rows and columns, `(1, 1, H, W)` to `(1, 4, H, W)`."""
    height, width = grey.shape[-2:]
    padded = F.pad(grey, (2, 2, 2, 2), mode="replicate")

    def moved(down: int, right: int) -> Tensor:
        return padded[..., 2 + down : 2 + down + height, 2 + right : 2 + right + width]

    first = (moved(0, 1) - moved(0, -1), moved(1, 0) - moved(-1, 0))
    second = (moved(0, 2) / 2 - grey + moved(0, -2) / 2, moved(2, 0) / 2 - grey + moved(-2, 0) / 2)
    return torch.cat([*first, *second], 1)


def _patches(maps: Tensor, factor: int) -> Tensor:
    """Return the patches of one picture, one for each pixel of the small one, `(1, C, H, W)` to `(N, C·P·P)`."""
    return F.unfold(maps, _WINDOW * factor, stride=factor)[0].T


def _features(gradients: Tensor, components: Tensor) -> Tensor:
    """Return the features of all patches from gradients, `(1, 4, H, W)` to `(N, D)`, in the order of `_patches`."""
    return F.conv2d(gradients, components, stride=components.shape[-1] // _WINDOW)[0].flatten(1).T


def _principal_components(parts: Iterator[Tensor]) -> Tensor:
    """Return the directions that hold most of the energy of vectors, `(D, E)`; the vectors come in parts, `(N, E)`."""
    covariance = torch.zeros((), dtype=torch.float64)
    for part in parts:
        covariance = covariance + part.T @ part
    energies, directions = torch.linalg.eigh(covariance)
    left_out = int((energies.cumsum(0) < (1 - _ENERGY) * energies.sum()).sum())
    kept: Tensor = directions[:, left_out:].flip(1).T
    return kept.float().contiguous()


def _learn_feature_atoms(features: Tensor, atoms: int, seed: int, generator: torch.Generator) -> Tensor:
    """Learn atoms of norm 1 from the half of the features with the most contrast, each normalised first."""
    contrast = features.norm(dim=1)
    structured = features[contrast > contrast.median()]
    if len(structured) < atoms:
        raise BadPhotos(
            f"there are {len(structured)} patches with structure to learn {atoms} atoms from: give it more photos or "
            "ask for fewer atoms"
        )
    shuffled = structured[torch.randperm(len(structured), generator=generator)[:_PATCHES_OF_ATOMS]]
    examples = F.normalize(shuffled, dim=1).numpy()
    learning = MiniBatchDictionaryLearning(
        atoms,
        alpha=_SPARSITY,
        max_iter=1,
        batch_size=_BATCH,
        dict_init=examples[:atoms],
        random_state=seed,
    )
    learnt = torch.from_numpy(learning.fit(examples).components_)
    return F.normalize(learnt.float(), dim=1)


def _fit_detail_atoms(features: Tensor, detail: Tensor, feature_atoms: Tensor) -> Tensor:
    """Fit the detail atoms by least squares, so that the weights of the features make up the detail best."""
    codes = pursue(features, feature_atoms, _ATOMS_EACH)
    count = len(feature_atoms)
    pairs = codes.atoms[:, :, None] * count + codes.atoms[:, None, :]
    products = codes.weights[:, :, None] * codes.weights[:, None, :]
    normal = torch.bincount(pairs.flatten(), products.flatten().double(), count**2).view(count, count)
    normal.diagonal().add_(_RIDGE * normal.diagonal().mean())
    sums = torch.zeros(count, detail.shape[1])
    for atoms, weights in zip(codes.atoms.T, codes.weights.T, strict=True):
        sums.index_add_(0, atoms, weights[:, None] * detail)
    detail_atoms: Tensor = torch.linalg.solve(normal, sums.double())
    return detail_atoms.float()
