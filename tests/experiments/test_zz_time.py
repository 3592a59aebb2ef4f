import time, cProfile, pstats
from pathlib import Path
from tests.experiments.test_photographs import *
def test_it(photographs, tmp_path):
    pr=cProfile.Profile(); pr.enable()
    a=time.time(); r=trained("inception-v3", photographs, tmp_path/'a'); b=time.time()
    pr.disable()
    trained("inception-v3", photographs, tmp_path/'b', processes=2); c=time.time()
    Path('/tmp/out.txt').write_text(f"{b-a} {c-b} {r.results['training_seconds']}")
    pstats.Stats(pr, stream=open('/tmp/out2.txt','w')).sort_stats('tottime').print_stats(25)
