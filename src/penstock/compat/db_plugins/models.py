"""The tables of an alert broker: what a telescope sees, and what is made of it."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  (SQLAlchemy reads annotations)
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from penstock.backends.columns import KEY, hash_index, partial_index
from penstock.compat.db_plugins.base import Base

__all__ = [
    "Allwise",
    "Base",
    "Dataquality",
    "Detection",
    "Feature",
    "FeatureVersion",
    "Gaia_ztf",
    "MagStats",
    "NonDetection",
    "Object",
    "Pipeline",
    "Probability",
    "Ps1_ztf",
    "Reference",
    "Ss_ztf",
    "Step",
    "Taxonomy",
    "Xmatch",
]


def _oid(table: str = "object") -> Any:
    return mapped_column(KEY, ForeignKey(f"{table}.oid"), primary_key=True)


def _key(type_: Any = KEY) -> Any:
    return mapped_column(type_, primary_key=True, autoincrement=False)


def _step() -> Any:
    return mapped_column(KEY, ForeignKey("step.step_id"))


def _indexes(prefix: str, *columns: str) -> tuple[Index, ...]:
    return tuple(Index(f"{prefix}_{column}", column) for column in columns)


class Step(Base):
    """A step of a pipeline, in one of its versions."""

    __tablename__ = "step"

    step_id: Mapped[str] = _key()
    name: Mapped[str]
    version: Mapped[str]
    comments: Mapped[str]
    date: Mapped[datetime]


class Object(Base):
    """A thing in the sky, which was detected at one place again and again."""

    __tablename__ = "object"

    oid: Mapped[str] = _key()
    ndethist: Mapped[int | None]
    ncovhist: Mapped[int | None]
    mjdstarthist: Mapped[float | None]
    mjdendhist: Mapped[float | None]
    corrected: Mapped[bool | None]
    stellar: Mapped[bool | None]
    ndet: Mapped[int | None]
    g_r_max: Mapped[float | None]
    g_r_max_corr: Mapped[float | None]
    g_r_mean: Mapped[float | None]
    g_r_mean_corr: Mapped[float | None]
    meanra: Mapped[float | None]
    meandec: Mapped[float | None]
    sigmara: Mapped[float | None]
    sigmadec: Mapped[float | None]
    deltajd: Mapped[float | None]
    firstmjd: Mapped[float | None]
    lastmjd: Mapped[float | None]
    step_id_corr: Mapped[str | None]
    diffpos: Mapped[bool | None]
    reference_change: Mapped[bool | None]

    magstats: Mapped[list[MagStats]] = relationship()
    non_detections: Mapped[list[NonDetection]] = relationship(order_by="NonDetection.mjd")
    detections: Mapped[list[Detection]] = relationship(order_by="Detection.mjd")
    features: Mapped[list[Feature]] = relationship()
    probabilities: Mapped[list[Probability]] = relationship(order_by="Probability.classifier_name")

    __table_args__ = _indexes(
        "ix_object", "ndet", "firstmjd", "g_r_max", "g_r_mean_corr", "meanra", "meandec"
    )

    def get_lightcurve(self) -> dict[str, list[Any]]:
        """What was seen of it, and when nothing was: `detections` and `non_detections`, each by time."""
        return {"detections": self.detections, "non_detections": self.non_detections}


class Taxonomy(Base):
    """The classes that a classifier knows."""

    __tablename__ = "taxonomy"

    classifier_name: Mapped[str] = _key()
    classifier_version: Mapped[str] = _key()
    classes: Mapped[list[str]]


class Probability(Base):
    """How likely an object is of a class."""

    __tablename__ = "probability"

    oid: Mapped[str] = _oid()
    class_name: Mapped[str] = _key()
    classifier_name: Mapped[str] = _key()
    classifier_version: Mapped[str] = _key()
    probability: Mapped[float]
    ranking: Mapped[int]

    __table_args__ = (
        hash_index("ix_probabilities_oid", "oid"),
        *_indexes("ix_probabilities", "probability", "ranking"),
        partial_index("ix_classification_rank1", "ranking", where=text("ranking = 1")),
    )


class FeatureVersion(Base):
    """By which steps features are made."""

    __tablename__ = "feature_version"

    version: Mapped[str] = _key()
    step_id_feature: Mapped[str | None] = _step()
    step_id_preprocess: Mapped[str | None] = _step()


class Feature(Base):
    """A figure that describes an object's light curve."""

    __tablename__ = "feature"

    oid: Mapped[str] = _oid()
    name: Mapped[str] = _key()
    fid: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(KEY, ForeignKey("feature_version.version"), primary_key=True)
    value: Mapped[float | None]

    __table_args__ = (hash_index("ix_feature_oid_2", "oid"),)


class Xmatch(Base):
    """What another catalogue has at an object's place."""

    __tablename__ = "xmatch"

    oid: Mapped[str] = _oid()
    catid: Mapped[str] = _key()
    oid_catalog: Mapped[str]
    dist: Mapped[float]
    class_catalog: Mapped[str | None]
    period: Mapped[float | None]


class Allwise(Base):
    """An entry of the AllWISE catalogue."""

    __tablename__ = "allwise"

    oid_catalog: Mapped[str] = _key()
    ra: Mapped[float]
    dec: Mapped[float]
    w1mpro: Mapped[float | None]
    w2mpro: Mapped[float | None]
    w3mpro: Mapped[float | None]
    w4mpro: Mapped[float | None]
    w1sigmpro: Mapped[float | None]
    w2sigmpro: Mapped[float | None]
    w3sigmpro: Mapped[float | None]
    w4sigmpro: Mapped[float | None]
    j_m_2mass: Mapped[float | None]
    h_m_2mass: Mapped[float | None]
    k_m_2mass: Mapped[float | None]
    j_msig_2mass: Mapped[float | None]
    h_msig_2mass: Mapped[float | None]
    k_msig_2mass: Mapped[float | None]

    __table_args__ = _indexes("ix_allwise", "ra", "dec")


class MagStats(Base):
    """An object's magnitudes in one filter."""

    __tablename__ = "magstat"

    oid: Mapped[str] = _oid()
    fid: Mapped[int] = mapped_column(primary_key=True)
    stellar: Mapped[bool]
    corrected: Mapped[bool]
    ndet: Mapped[int]
    ndubious: Mapped[int]
    dmdt_first: Mapped[float | None]
    dm_first: Mapped[float | None]
    sigmadm_first: Mapped[float | None]
    dt_first: Mapped[float | None]
    magmean: Mapped[float | None]
    magmedian: Mapped[float | None]
    magmax: Mapped[float | None]
    magmin: Mapped[float | None]
    magsigma: Mapped[float | None]
    maglast: Mapped[float | None]
    magfirst: Mapped[float | None]
    magmean_corr: Mapped[float | None]
    magmedian_corr: Mapped[float | None]
    magmax_corr: Mapped[float | None]
    magmin_corr: Mapped[float | None]
    magsigma_corr: Mapped[float | None]
    maglast_corr: Mapped[float | None]
    magfirst_corr: Mapped[float | None]
    firstmjd: Mapped[float | None]
    lastmjd: Mapped[float | None]
    step_id_corr: Mapped[str]
    saturation_rate: Mapped[float | None]

    __table_args__ = (
        *_indexes("ix_magstats", "dmdt_first", "firstmjd", "lastmjd", "magmean", "magmin", "magfirst"),
        *_indexes("ix_magstats", "ndet", "maglast"),
        hash_index("ix_magstats_oid", "oid"),
    )


class NonDetection(Base):
    """A look at an object's place that found nothing."""

    __tablename__ = "non_detection"

    oid: Mapped[str] = _oid()
    fid: Mapped[int] = mapped_column(primary_key=True)
    mjd: Mapped[float] = mapped_column(primary_key=True)
    diffmaglim: Mapped[float | None]

    __table_args__ = (hash_index("ix_non_detection_oid", "oid"),)


class Detection(Base):
    """An alert: an object was seen."""

    __tablename__ = "detection"
    _shown = ("candid", "fid", "oid")

    candid: Mapped[int] = _key(BigInteger)
    oid: Mapped[str] = _oid()
    mjd: Mapped[float]
    fid: Mapped[int]
    pid: Mapped[float]
    diffmaglim: Mapped[float | None]
    isdiffpos: Mapped[int]
    nid: Mapped[int | None]
    ra: Mapped[float]
    dec: Mapped[float]
    magpsf: Mapped[float]
    sigmapsf: Mapped[float]
    magap: Mapped[float | None]
    sigmagap: Mapped[float | None]
    distnr: Mapped[float | None]
    rb: Mapped[float | None]
    rbversion: Mapped[str | None]
    drb: Mapped[float | None]
    drbversion: Mapped[str | None]
    magapbig: Mapped[float | None]
    sigmagapbig: Mapped[float | None]
    rfid: Mapped[int | None]
    magpsf_corr: Mapped[float | None]
    sigmapsf_corr: Mapped[float | None]
    sigmapsf_corr_ext: Mapped[float | None]
    corrected: Mapped[bool]
    dubious: Mapped[bool]
    parent_candid: Mapped[int | None] = mapped_column(BigInteger)
    has_stamp: Mapped[bool]
    step_id_corr: Mapped[str]

    dataquality: Mapped[list[Dataquality]] = relationship()

    __table_args__ = (hash_index("ix_ndetection_oid", "oid"),)


class Dataquality(Base):
    """How good the image of a detection was."""

    __tablename__ = "dataquality"

    candid: Mapped[int] = _key(BigInteger)
    oid: Mapped[str] = _key()
    fid: Mapped[int]
    xpos: Mapped[float | None]
    ypos: Mapped[float | None]
    chipsf: Mapped[float | None]
    sky: Mapped[float | None]
    fwhm: Mapped[float | None]
    classtar: Mapped[float | None]
    mindtoedge: Mapped[float | None]
    seeratio: Mapped[float | None]
    aimage: Mapped[float | None]
    bimage: Mapped[float | None]
    aimagerat: Mapped[float | None]
    bimagerat: Mapped[float | None]
    nneg: Mapped[int | None]
    nbad: Mapped[int | None]
    sumrat: Mapped[float | None]
    scorr: Mapped[float | None]
    dsnrms: Mapped[float | None]
    ssnrms: Mapped[float | None]
    magzpsci: Mapped[float | None]
    magzpsciunc: Mapped[float | None]
    magzpscirms: Mapped[float | None]
    nmatches: Mapped[int | None]
    clrcoeff: Mapped[float | None]
    clrcounc: Mapped[float | None]
    zpclrcov: Mapped[float | None]
    zpmed: Mapped[float | None]
    clrmed: Mapped[float | None]
    clrrms: Mapped[float | None]
    exptime: Mapped[float | None]

    __table_args__ = (ForeignKeyConstraint(["candid", "oid"], ["detection.candid", "detection.oid"]),)


class Gaia_ztf(Base):  # noqa: N801  (the name that clients import)
    """The nearest source of Gaia."""

    __tablename__ = "gaia_ztf"

    oid: Mapped[str] = _oid()
    candid: Mapped[int] = mapped_column(BigInteger)
    neargaia: Mapped[float | None]
    neargaiabright: Mapped[float | None]
    maggaia: Mapped[float | None]
    maggaiabright: Mapped[float | None]
    unique1: Mapped[bool]


class Ss_ztf(Base):  # noqa: N801
    """The nearest known body of the solar system."""

    __tablename__ = "ss_ztf"

    oid: Mapped[str] = _oid()
    candid: Mapped[int] = mapped_column(BigInteger)
    ssdistnr: Mapped[float | None]
    ssmagnr: Mapped[float | None]
    ssnamenr: Mapped[str | None] = mapped_column(KEY)

    __table_args__ = _indexes("ix_ss_ztf", "candid", "ssnamenr")


class Ps1_ztf(Base):  # noqa: N801
    """The three nearest sources of Pan-STARRS1."""

    __tablename__ = "ps1_ztf"

    oid: Mapped[str] = _oid()
    candid: Mapped[int] = _key(BigInteger)
    objectidps1: Mapped[float | None]
    sgmag1: Mapped[float | None]
    srmag1: Mapped[float | None]
    simag1: Mapped[float | None]
    szmag1: Mapped[float | None]
    sgscore1: Mapped[float | None]
    distpsnr1: Mapped[float | None]
    objectidps2: Mapped[float | None]
    sgmag2: Mapped[float | None]
    srmag2: Mapped[float | None]
    simag2: Mapped[float | None]
    szmag2: Mapped[float | None]
    sgscore2: Mapped[float | None]
    distpsnr2: Mapped[float | None]
    objectidps3: Mapped[float | None]
    sgmag3: Mapped[float | None]
    srmag3: Mapped[float | None]
    simag3: Mapped[float | None]
    szmag3: Mapped[float | None]
    sgscore3: Mapped[float | None]
    distpsnr3: Mapped[float | None]
    nmtchps: Mapped[int]
    unique1: Mapped[bool]
    unique2: Mapped[bool]
    unique3: Mapped[bool]


class Reference(Base):
    """The image that others are compared with."""

    __tablename__ = "reference"

    oid: Mapped[str] = _oid()
    rfid: Mapped[int] = _key(BigInteger)
    candid: Mapped[int] = mapped_column(BigInteger)
    fid: Mapped[int]
    rcid: Mapped[int | None]
    field: Mapped[int | None]
    magnr: Mapped[float | None]
    sigmagnr: Mapped[float | None]
    chinr: Mapped[float | None]
    sharpnr: Mapped[float | None]
    ranr: Mapped[float]
    decnr: Mapped[float]
    mjdstartref: Mapped[float]
    mjdendref: Mapped[float]
    nframesref: Mapped[int]

    __table_args__ = _indexes("ix_reference", "fid")


class Pipeline(Base):
    """The steps that work together."""

    __tablename__ = "pipeline"

    pipeline_id: Mapped[str] = _key()
    step_id_corr: Mapped[str | None]
    step_id_feat: Mapped[str | None]
    step_id_clf: Mapped[str | None]
    step_id_out: Mapped[str | None]
    step_id_stamp: Mapped[str | None]
    date: Mapped[datetime]
