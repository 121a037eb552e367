"""What FastDeploy tells of its speed: fastdeploy/metrics/metrics.py, the same in 2.0 to 2.6.

Before 2.4 the time to the first token begins when inference does, without the time in the queue
(output/token_processor.py: `inference_start_time`, then `arrival_time`).
"""

from launcher.plan.figures import Figures

FIGURES = Figures(ttft="fastdeploy:time_to_first_token_seconds")
