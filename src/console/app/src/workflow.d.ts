export interface WorkflowStep {
  name: string;
  by: 'admin' | 'assigned' | 'creator' | 'creator_or_admin';
  from: string[];
}
export const workflow: WorkflowStep[];
