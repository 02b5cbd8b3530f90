"""Whether this installation can draw the PDF, said before a bundle is begun."""

from __future__ import annotations

from collector.errors import Invalid
from collector.evidence_bundles.service import Picture


def picture_or_error() -> Picture:
    """Return what draws the PDF. Raises Invalid where WeasyPrint or the libraries it links are not installed."""
    try:
        import weasyprint  # noqa: F401  # only whether it and Pango are there
    except (ImportError, OSError) as error:
        raise Invalid(f"the PDF needs WeasyPrint and Pango ({error}); install them or ask for no PDF") from error
    from collector.evidence_bundles.pdf import report_pdf

    return report_pdf
