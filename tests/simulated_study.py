"""Simulated readings: patients with several images, seeds with an effect, and checkpoints that share what the images show."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr


@dataclass(frozen=True)
class Study:
    """A model of runs that all read the same patients.

    Args:
        runs: number of seeds.
        seed_effect: standard deviation of the seeds' separation of the classes.
        patients: number of patients.
        images: of each patient.
        separation: distance of the classes.
        icc: share of the image noise that all images of a patient have in common.
        noise: standard deviation of what a run adds to each image.
    """

    runs: int = 5
    seed_effect: float = 0.0
    patients: int = 100
    images: int = 3
    separation: float = 1.2
    icc: float = 0.5
    noise: float = 0.5

    @property
    def labels(self) -> np.ndarray:
        return np.repeat(np.arange(self.patients) % 2, self.images)

    @property
    def groups(self) -> np.ndarray:
        return np.repeat(np.arange(self.patients), self.images)

    @property
    def truth(self) -> float:
        """The AUROC over all patients and all seeds."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        areas = ndtr((self.separation + self.seed_effect * nodes) / np.sqrt(2 * (1 + self.noise**2)))
        return float((weights * areas).sum() / weights.sum())

    def shown(self, rng: np.random.Generator) -> np.ndarray:
        """What the images show, (N,)."""
        of_patient = np.repeat(rng.normal(size=self.patients), self.images)
        return np.sqrt(self.icc) * of_patient + np.sqrt(1 - self.icc) * rng.normal(size=len(self.groups))

    def read(self, rng: np.random.Generator, shown: np.ndarray) -> np.ndarray:
        """The scores of the runs of a checkpoint, (S, N)."""
        separations = self.separation + self.seed_effect * rng.normal(size=(self.runs, 1))
        return separations * self.labels + shown + self.noise * rng.normal(size=(self.runs, len(shown)))
