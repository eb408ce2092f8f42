"""How an app of Tethys 3 is built, as the command that began it wrote it."""

from setuptools import find_namespace_packages, setup
from tethys_apps.app_installation import find_resource_files
from tethys_apps.base.app_base import TethysAppBase

app_package = "old_setup"
release_package = f"{TethysAppBase.package_namespace}-{app_package}"

resource_files = find_resource_files(f"tethysapp/{app_package}/templates", f"tethysapp/{app_package}")
resource_files += find_resource_files(f"tethysapp/{app_package}/public", f"tethysapp/{app_package}")

setup(
    name=release_package,
    version="0.0.1",
    description="",
    packages=find_namespace_packages(include=["tethysapp.*"]),
    package_data={"": resource_files},
    include_package_data=True,
    zip_safe=False,
    install_requires=[],
)
