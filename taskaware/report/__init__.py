"""An ablation as tables, figures and one page; the only package that imports matplotlib and jinja2."""

from taskaware.report.write import ReportFiles, write_report

__all__ = ["ReportFiles", "write_report"]
