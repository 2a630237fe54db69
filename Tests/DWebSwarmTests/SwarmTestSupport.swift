import DWebSwarm
